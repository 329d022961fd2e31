SELECT DISTINCT toString(id) AS id FROM TABLE WHERE id IN {ids:Array(UUID)}
