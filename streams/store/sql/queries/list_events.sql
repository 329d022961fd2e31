SELECT id, occurred, received, event, resource_id, resource, related, payload, source, causation_id, correlation_id,
    follows, replay_of, topic, partition, offset
FROM events
WHERE occurred >= {since:DateTime64(6, 'UTC')} AND occurred < {until:DateTime64(6, 'UTC')}
    AND ({event:String} = '%' OR event LIKE {event:String})
    AND ({resource:String} = '%' OR resource_id LIKE {resource:String})
    AND ({prefix:String} = '' OR startsWith(toString(id), {prefix:String}))
ORDER BY occurred DESC, id DESC
LIMIT {limit:UInt32}
