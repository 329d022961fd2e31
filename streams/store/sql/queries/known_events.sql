SELECT DISTINCT toString(id) AS known FROM events
WHERE id IN {ids:Array(UUID)} AND ({partition:Int32} < 0 OR partition = {partition:Int32} AND offset < {before:UInt64})
