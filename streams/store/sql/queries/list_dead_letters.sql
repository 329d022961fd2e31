SELECT id, stage, reason, error, base64Encode(raw) AS raw_b64, headers, at, source, from_topic, from_partition,
    from_offset, topic, partition, offset
FROM dead_letters
WHERE at >= {since:DateTime64(6, 'UTC')} AND at < {until:DateTime64(6, 'UTC')}
    AND ({state:String} = '' OR stage = {state:String})
    AND ({prefix:String} = '' OR startsWith(toString(id), {prefix:String}))
ORDER BY at DESC, id DESC
LIMIT {limit:UInt32}
