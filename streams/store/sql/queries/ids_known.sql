SELECT DISTINCT toString(id) AS known FROM TABLE WHERE id IN {ids:Array(UUID)}
