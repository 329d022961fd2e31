SELECT id, flow, flow_version, trigger, firing_id, event_ids, group_key, state, requested, started, ended, at, attempt,
    worker, parameters, result, error, correlation_id, causation_id, replay_of, topic, partition, offset
FROM runs
WHERE requested >= {since:DateTime64(6, 'UTC')} AND requested < {until:DateTime64(6, 'UTC')}
    AND ({flow:String} = '' OR flow = {flow:String})
    AND ({trigger:String} = '' OR trigger = {trigger:String})
    AND ({state:String} = '' OR state = {state:String})
    AND ({prefix:String} = '' OR startsWith(toString(id), {prefix:String}))
    AND ({event:String} = '%' AND {resource:String} = '%'
        OR causation_id IN (SELECT id FROM events WHERE event LIKE {event:String} AND resource_id LIKE {resource:String}))
ORDER BY requested DESC, id DESC
LIMIT {limit:UInt32}
