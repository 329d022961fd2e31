SELECT id, flow, flow_version, trigger, firing_id, event_ids, state, requested, started, ended, at, attempt, worker,
    parameters, result, error, causation_id
FROM runs WHERE id IN {ids:Array(UUID)} ORDER BY requested, id
