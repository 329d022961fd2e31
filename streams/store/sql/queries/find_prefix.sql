SELECT kind, found FROM
(
    SELECT 'run' AS kind, run_id AS found FROM runs_latest WHERE startsWith(toString(run_id), {prefix:String})
    UNION DISTINCT SELECT 'event', id FROM events WHERE startsWith(toString(id), {prefix:String})
    UNION DISTINCT SELECT 'firing', assumeNotNull(firing_id) FROM verdicts
        WHERE startsWith(toString(firing_id), {prefix:String})
    UNION DISTINCT SELECT 'task_run', task_run_id FROM task_runs_latest
        WHERE startsWith(toString(task_run_id), {prefix:String})
    UNION DISTINCT SELECT 'verdict', id FROM verdicts WHERE startsWith(toString(id), {prefix:String})
)
LIMIT 5
