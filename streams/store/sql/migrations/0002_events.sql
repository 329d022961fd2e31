-- Partitioned by our own clock: `occurred` is a stranger's and could spread one insert over thousands of months.
-- Drop old months with ALTER TABLE events DROP PARTITION; nothing here expires on its own.
CREATE TABLE IF NOT EXISTS events
(
    topic LowCardinality(String),
    partition UInt16,
    offset UInt64 CODEC(Delta, Default),
    id UUID,
    occurred DateTime64(6, 'UTC') CODEC(Delta, Default),
    received DateTime64(6, 'UTC') CODEC(Delta, Default),
    event LowCardinality(String),
    resource_id String,
    resource_text String,
    resource Map(String, String) ALIAS JSONExtract(resource_text, 'Map(String, String)'),
    related String,
    payload String,
    source LowCardinality(String),
    causation_id Nullable(UUID),
    correlation_id UUID,
    follows Nullable(UUID),
    replay_of Nullable(UUID),
    depth UInt16,
    INDEX by_id id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_resource resource_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_cause causation_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_offset offset TYPE minmax GRANULARITY 1,
    PROJECTION per_minute (SELECT toStartOfMinute(occurred) AS minute, event, count() GROUP BY minute, event)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(received)
ORDER BY (occurred, id);
