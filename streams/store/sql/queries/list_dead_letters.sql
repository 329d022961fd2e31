SELECT letter.id AS id, letter.at AS at, letter.source AS source, letter.stage AS stage, letter.reason AS reason,
    if(fate.state = '', 'open', fate.state) AS state, fate.edits AS edits, length(letter.raw) AS bytes,
    letter.error AS error, letter.from_topic AS from_topic, letter.from_partition AS from_partition,
    letter.from_offset AS from_offset, letter.topic AS topic, letter.partition AS partition, letter.offset AS offset
FROM dead_letters AS letter LEFT JOIN dead_letter_states AS fate ON fate.id = letter.id
WHERE letter.at >= {since:DateTime64(6, 'UTC')} AND letter.at < {until:DateTime64(6, 'UTC')}
    AND ({source:String} = '' OR letter.source = {source:String})
    AND ({stage:String} = '' OR letter.stage = {stage:String})
    AND ({reason:String} = '' OR letter.reason = {reason:String})
    AND ({state:String} = '' OR if(fate.state = '', 'open', fate.state) = {state:String})
ORDER BY letter.at DESC, letter.id DESC
LIMIT {limit:UInt32}
