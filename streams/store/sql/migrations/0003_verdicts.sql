CREATE TABLE IF NOT EXISTS verdicts
(
    topic LowCardinality(String),
    partition UInt16,
    offset UInt64 CODEC(Delta, Default),
    id UUID,
    event LowCardinality(String),
    trigger LowCardinality(String),
    trigger_version LowCardinality(String),
    flow LowCardinality(String),
    event_id UUID,
    group_key String,
    verdict LowCardinality(String),
    reason String,
    at DateTime64(6, 'UTC') CODEC(Delta, Default),
    firing_id Nullable(UUID),
    run_id Nullable(UUID),
    event_ids Array(UUID),
    candidates_partition UInt16,
    candidates_offset UInt64,
    correlation_id UUID,
    replay_of Nullable(UUID),
    INDEX by_id id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_events event_ids TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_firing firing_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_run run_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (at, id);

-- A firing holds all its events.
CREATE OR REPLACE VIEW firings AS
SELECT
    assumeNotNull(firing_id) AS id, trigger, trigger_version, flow, run_id, event_id, event_ids, group_key,
    at AS fired, reason, correlation_id, replay_of, topic, partition, offset
FROM verdicts
WHERE verdict = 'fired' AND firing_id IS NOT NULL;
