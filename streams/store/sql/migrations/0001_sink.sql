-- What a sink needs to know about itself: how far it is, and who holds its place.

-- Every offset below `next` is stored, known already or dead-lettered (DESIGN 5.3): a sink starts here.
CREATE TABLE IF NOT EXISTS sink_progress
(
    topic LowCardinality(String),
    partition UInt16,
    next UInt64,
    at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(next)
ORDER BY (topic, partition);

-- The newest (epoch, holder) of an ordinal is its only sink; the store refuses inserts of an older one.
CREATE TABLE IF NOT EXISTS sink_leases
(
    ordinal UInt16,
    epoch UInt64,
    holder String,
    granted DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (ordinal, epoch, holder);
