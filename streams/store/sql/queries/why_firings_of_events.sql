SELECT id, fired, trigger, trigger_version, flow, run_id, event_id, event_ids, group_key, reason
FROM firings WHERE hasAny(event_ids, {ids:Array(UUID)}) ORDER BY fired, id LIMIT {limit:UInt32}
