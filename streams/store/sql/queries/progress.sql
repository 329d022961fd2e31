SELECT topic, partition, max(next) AS next FROM sink_progress GROUP BY topic, partition
