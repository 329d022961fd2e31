CREATE TABLE IF NOT EXISTS run_log
(
    topic LowCardinality(String),
    partition UInt16,
    offset UInt64 CODEC(Delta, Default),
    id UUID,
    event LowCardinality(String),
    run_id UUID,
    seq UInt64,
    flow LowCardinality(String),
    flow_version LowCardinality(String),
    trigger LowCardinality(String),
    firing_id Nullable(UUID),
    event_ids Array(UUID),
    group_key String,
    state LowCardinality(String),
    at DateTime64(6, 'UTC') CODEC(Delta, Default),
    requested DateTime64(6, 'UTC') CODEC(Delta, Default),
    started Nullable(DateTime64(6, 'UTC')),
    ended Nullable(DateTime64(6, 'UTC')),
    attempt UInt32,
    worker LowCardinality(String),
    parameters String,
    result Nullable(String),
    error Nullable(String),
    correlation_id UUID,
    causation_id Nullable(UUID),
    replay_of Nullable(UUID),
    INDEX by_id id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_run run_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (at, id);

-- One row per run: the run's log lies in one partition, so its offset orders its states (DESIGN 5.8).
CREATE TABLE IF NOT EXISTS runs_latest
(
    topic LowCardinality(String),
    partition UInt16,
    offset UInt64,
    run_id UUID,
    flow LowCardinality(String),
    flow_version LowCardinality(String),
    trigger LowCardinality(String),
    firing_id Nullable(UUID),
    event_ids Array(UUID),
    group_key String,
    state LowCardinality(String),
    at DateTime64(6, 'UTC'),
    requested DateTime64(6, 'UTC'),
    started Nullable(DateTime64(6, 'UTC')),
    ended Nullable(DateTime64(6, 'UTC')),
    attempt UInt32,
    worker LowCardinality(String),
    parameters String,
    result Nullable(String),
    error Nullable(String),
    correlation_id UUID,
    causation_id Nullable(UUID),
    replay_of Nullable(UUID),
    INDEX by_firing firing_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(offset)
ORDER BY run_id;

CREATE OR REPLACE VIEW runs AS
SELECT
    run_id AS id, flow, flow_version, trigger, firing_id, event_ids, group_key, state, requested, started, ended, at,
    attempt, worker, parameters, result, error, correlation_id, causation_id, replay_of, topic, partition, offset
FROM runs_latest FINAL;
