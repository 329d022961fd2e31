CREATE TABLE IF NOT EXISTS trigger_log
(
    topic LowCardinality(String),
    partition UInt16,
    offset UInt64 CODEC(Delta, Default),
    id UUID,
    event LowCardinality(String),
    name LowCardinality(String),
    version String,
    definition String,
    flow LowCardinality(String),
    flow_version String,
    flow_definition String,
    deployment_id UUID,
    removed Bool,
    published DateTime64(6, 'UTC') CODEC(Delta, Default),
    published_by LowCardinality(String)
)
ENGINE = MergeTree
ORDER BY (name, published, offset);

-- Every version that was ever published, `removed` ones too.
CREATE OR REPLACE VIEW triggers AS
SELECT
    id, name, version, definition, flow, flow_version, flow_definition, deployment_id, removed, published,
    published_by, topic, partition, offset
FROM trigger_log;
