-- `raw` holds the bytes as they came.
CREATE TABLE IF NOT EXISTS dead_letters
(
    topic LowCardinality(String),
    partition UInt16,
    offset UInt64 CODEC(Delta, Default),
    id UUID,
    event LowCardinality(String),
    stage LowCardinality(String),
    reason LowCardinality(String),
    error String,
    raw String,
    headers String,
    at DateTime64(6, 'UTC') CODEC(Delta, Default),
    source LowCardinality(String),
    from_topic Nullable(String),
    from_partition Nullable(UInt16),
    from_offset Nullable(UInt64),
    INDEX by_id id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (at, id);
