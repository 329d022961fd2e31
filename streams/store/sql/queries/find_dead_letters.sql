SELECT letter.id AS id, letter.at AS at, letter.source AS source, letter.stage AS stage, letter.reason AS reason,
    if(fate.state = '', 'open', fate.state) AS state, fate.edits AS edits, fate.retries AS retries,
    base64Encode(letter.raw) AS raw_b64, letter.headers AS headers, letter.error AS error,
    letter.from_topic AS from_topic, letter.from_partition AS from_partition, letter.from_offset AS from_offset
FROM dead_letters AS letter LEFT JOIN dead_letter_states AS fate ON fate.id = letter.id
WHERE startsWith(toString(letter.id), {prefix:String})
ORDER BY letter.id
LIMIT 5
