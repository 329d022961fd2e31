SELECT source, max(received) AS last_event, countIf(received >= now64(6) - INTERVAL 1 DAY) AS events_24h
FROM events
WHERE source IN {names:Array(String)}
GROUP BY source
