-- One edge per row: `id` was brought about by `cause_id`.
CREATE OR REPLACE VIEW causes AS
SELECT id, 'event' AS kind, assumeNotNull(causation_id) AS cause_id, 'emitted' AS how, occurred AS at
FROM events WHERE causation_id IS NOT NULL
UNION ALL
SELECT assumeNotNull(firing_id) AS id, 'firing' AS kind, arrayJoin(event_ids) AS cause_id, 'matched' AS how, at
FROM verdicts WHERE verdict = 'fired' AND firing_id IS NOT NULL
UNION ALL
SELECT run_id AS id, 'run' AS kind, assumeNotNull(firing_id) AS cause_id, 'fired' AS how, requested AS at
FROM runs_latest FINAL WHERE firing_id IS NOT NULL
UNION ALL
SELECT task_run_id AS id, 'task_run' AS kind, run_id AS cause_id, 'called' AS how, ifNull(started, at) AS at
FROM task_runs_latest FINAL;

-- The same edges from the other end: `id` brought about `effect_id`.
CREATE OR REPLACE VIEW effects AS
SELECT edge.cause_id AS id, edge.how AS how, edge.id AS effect_id, edge.kind AS effect_kind, edge.at AS at
FROM causes AS edge;
