CREATE OR REPLACE VIEW TARGET AS
SELECT
    id, occurred, received, resource_id, source COLUMNS
FROM events
WHERE event = EVENT
