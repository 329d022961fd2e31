CREATE OR REPLACE VIEW TARGET AS
WITH if(
    resource['provider'] = 'cloudevents' AND JSONHas(payload, 'cloudevents'), JSONExtractRaw(payload, 'data'), payload
) AS typed_part
SELECT
    id, occurred, received, resource_id, source COLUMNS
FROM events
WHERE event = EVENT
