SELECT id, name, version, definition, flow, flow_version, flow_definition, deployment_id, removed, published,
    published_by, topic, partition, offset
FROM triggers
WHERE published >= {since:DateTime64(6, 'UTC')} AND published < {until:DateTime64(6, 'UTC')}
    AND ({flow:String} = '' OR flow = {flow:String})
    AND ({trigger:String} = '' OR name = {trigger:String})
    AND ({prefix:String} = '' OR startsWith(toString(id), {prefix:String}))
ORDER BY published DESC, offset DESC
LIMIT {limit:UInt32}
