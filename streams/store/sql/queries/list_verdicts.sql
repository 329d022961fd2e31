SELECT id, trigger, trigger_version, flow, event_id, group_key, verdict, reason, at, firing_id, run_id, event_ids,
    correlation_id, replay_of, topic, partition, offset
FROM verdicts
WHERE at >= {since:DateTime64(6, 'UTC')} AND at < {until:DateTime64(6, 'UTC')}
    AND ({flow:String} = '' OR flow = {flow:String})
    AND ({trigger:String} = '' OR trigger = {trigger:String})
    AND ({state:String} = '' OR verdict = {state:String})
    AND ({prefix:String} = '' OR startsWith(toString(id), {prefix:String}) OR startsWith(toString(event_id), {prefix:String}))
    AND ({event:String} = '%' AND {resource:String} = '%'
        OR event_id IN (SELECT id FROM events WHERE event LIKE {event:String} AND resource_id LIKE {resource:String}))
ORDER BY at DESC, id DESC
LIMIT {limit:UInt32}
