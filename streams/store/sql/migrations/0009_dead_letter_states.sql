-- What became of dead letters, from the audit events: nothing is ever changed. A letter without a row is open.
-- A retry that was refused again leaves its letter open.
CREATE OR REPLACE VIEW dead_letter_states AS
SELECT
    assumeNotNull(toUUIDOrNull(substring(resource_id, 21))) AS id,
    if(countIf(decision != '') = 0, 'open', argMaxIf(decision, occurred, decision != '')) AS state,
    argMax(JSONExtractString(payload, 'by'), occurred) AS by,
    max(occurred) AS at,
    countIf(event = 'ensue.audit.dead_letter.edited') AS edits,
    countIf(event = 'ensue.audit.dead_letter.retried') AS retries
FROM
(
    SELECT
        resource_id, event, payload, occurred,
        multiIf(
            event = 'ensue.audit.dead_letter.dropped', 'dropped',
            event = 'ensue.audit.dead_letter.retried' AND JSONExtractString(payload, 'outcome') = 'taken', 'retried',
            ''
        ) AS decision
    FROM events
    WHERE event IN ('ensue.audit.dead_letter.retried', 'ensue.audit.dead_letter.dropped', 'ensue.audit.dead_letter.edited')
        AND startsWith(resource_id, 'ensue://dead-letter/') AND toUUIDOrNull(substring(resource_id, 21)) IS NOT NULL
)
GROUP BY resource_id;
