SELECT id, run_id, task, state, started, ended, at, attempt, result, error
FROM task_runs WHERE id IN {ids:Array(UUID)}
