SELECT 'run' AS kind, run_id AS found FROM runs_latest WHERE run_id = {id:UUID}
UNION DISTINCT SELECT 'event', id FROM events WHERE id = {id:UUID}
UNION DISTINCT SELECT 'firing', assumeNotNull(firing_id) FROM verdicts WHERE firing_id = {id:UUID}
UNION DISTINCT SELECT 'task_run', task_run_id FROM task_runs_latest WHERE task_run_id = {id:UUID}
UNION DISTINCT SELECT 'verdict', id FROM verdicts WHERE id = {id:UUID}
