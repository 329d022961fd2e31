SELECT resource_id, argMax(substring(event, 14), occurred) AS word,
    argMax(JSONExtractString(payload, 'last_event_at'), occurred) AS last_event_at
FROM events
WHERE resource_id IN {resources:Array(String)} AND event IN ('ensue.source.silent', 'ensue.source.resumed')
GROUP BY resource_id
