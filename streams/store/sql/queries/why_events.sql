SELECT id, occurred, received, event, resource_id, resource, source, payload, causation_id, correlation_id
FROM events WHERE id IN {ids:Array(UUID)} ORDER BY occurred, id
