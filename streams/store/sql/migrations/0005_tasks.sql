CREATE TABLE IF NOT EXISTS task_log
(
    topic LowCardinality(String),
    partition UInt16,
    offset UInt64 CODEC(Delta, Default),
    id UUID,
    event LowCardinality(String),
    task_run_id UUID,
    run_id UUID,
    flow LowCardinality(String),
    task LowCardinality(String),
    task_key String,
    seq UInt64,
    state LowCardinality(String),
    at DateTime64(6, 'UTC') CODEC(Delta, Default),
    started Nullable(DateTime64(6, 'UTC')),
    ended Nullable(DateTime64(6, 'UTC')),
    attempt UInt32,
    result Nullable(String),
    error Nullable(String),
    correlation_id UUID,
    INDEX by_id id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_run run_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (at, id);

CREATE TABLE IF NOT EXISTS task_runs_latest
(
    topic LowCardinality(String),
    partition UInt16,
    offset UInt64,
    task_run_id UUID,
    run_id UUID,
    flow LowCardinality(String),
    task LowCardinality(String),
    task_key String,
    seq UInt64,
    state LowCardinality(String),
    at DateTime64(6, 'UTC'),
    started Nullable(DateTime64(6, 'UTC')),
    ended Nullable(DateTime64(6, 'UTC')),
    attempt UInt32,
    result Nullable(String),
    error Nullable(String),
    correlation_id UUID,
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(offset)
ORDER BY (run_id, task_run_id);

CREATE OR REPLACE VIEW task_runs AS
SELECT
    task_run_id AS id, run_id, flow, task, task_key, seq, state, started, ended, at, attempt, result, error,
    correlation_id, topic, partition, offset
FROM task_runs_latest FINAL;
