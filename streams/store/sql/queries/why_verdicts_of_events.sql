SELECT id, at, trigger, trigger_version, flow, event_id, group_key, verdict, reason
FROM verdicts WHERE event_id IN {ids:Array(UUID)} AND verdict != 'fired' ORDER BY at, id LIMIT {limit:UInt32}
