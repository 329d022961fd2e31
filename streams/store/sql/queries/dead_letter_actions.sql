SELECT id, occurred AS at, substring(event, 25) AS action, payload
FROM events
WHERE resource_id = {resource:String} AND startsWith(event, 'ensue.audit.dead_letter.')
ORDER BY occurred, id
LIMIT 1000
