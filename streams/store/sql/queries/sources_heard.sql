SELECT source, toUnixTimestamp64Micro(max(received)) AS last_us
FROM events
WHERE source IN {names:Array(String)} AND received >= fromUnixTimestamp64Micro({since_us:Int64})
GROUP BY source
