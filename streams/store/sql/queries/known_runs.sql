SELECT id, state FROM runs WHERE id IN {ids:Array(UUID)}
