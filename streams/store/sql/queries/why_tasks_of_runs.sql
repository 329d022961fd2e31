SELECT id, run_id, task, state, started, ended, at, attempt, result, error
FROM task_runs WHERE run_id IN {ids:Array(UUID)} ORDER BY run_id, ifNull(started, at), seq LIMIT {limit:UInt32}
