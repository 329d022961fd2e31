SELECT id, event, resource_id, received
FROM events
WHERE source = {source:String} AND received >= {since:DateTime64(6, 'UTC')}
    AND (position(resource_text, {mark:String}) > 0 OR position(payload, {mark:String}) > 0)
ORDER BY received
LIMIT 10
