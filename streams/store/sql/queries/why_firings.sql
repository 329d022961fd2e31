SELECT id, fired, trigger, trigger_version, flow, run_id, event_id, event_ids, group_key, reason
FROM firings WHERE id IN {ids:Array(UUID)} ORDER BY fired, id
