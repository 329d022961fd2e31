SELECT resource_id, event = 'storage.object.deleted' AS gone, resource['etag'] AS etag, resource['version'] AS version,
    resource['size'] AS size, max(occurred) AS at
FROM events
WHERE resource_id >= {first:String} AND resource_id <= {last:String} AND occurred >= {since:DateTime64(6, 'UTC')}
    AND event IN ('storage.object.created', 'storage.object.updated', 'storage.object.restored', 'storage.object.deleted')
GROUP BY resource_id, gone, etag, version, size
