CREATE TABLE IF NOT EXISTS migrations
(
    name String,
    hash String,
    applied DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY name
