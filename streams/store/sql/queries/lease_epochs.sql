SELECT ordinal, max(epoch) FROM sink_leases GROUP BY ordinal ORDER BY ordinal
