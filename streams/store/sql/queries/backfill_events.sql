SELECT id, event, resource_id, toUnixTimestamp64Micro(occurred) AS occurred, toUnixTimestamp64Micro(received) AS received,
    resource_text AS resource, related, payload, source, causation_id, correlation_id, follows, replay_of, depth,
    partition, offset
FROM events
WHERE events.occurred >= fromUnixTimestamp64Micro({since_us:Int64}) AND events.occurred <= fromUnixTimestamp64Micro({until_us:Int64})
    AND (events.occurred, events.id) > (fromUnixTimestamp64Micro({after_us:Int64}), {after_id:UUID})
    AND topic = {topic:String} AND offset < arrayElement({below:Array(UInt64)}, partition + 1)
    AND (empty({names:Array(String)}) OR event IN {names:Array(String)})
    AND (empty({prefixes:Array(String)}) OR arrayExists(p -> startsWith(event, p), {prefixes:Array(String)}))
ORDER BY events.occurred, events.id
LIMIT {limit:UInt32}
