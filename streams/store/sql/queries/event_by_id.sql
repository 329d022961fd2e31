SELECT id, occurred, received, event, resource_id, resource_text, related, payload, source, causation_id,
    correlation_id, follows, replay_of, depth
FROM events WHERE id = {id:UUID} LIMIT 1
