SELECT name, type, default_kind, comment FROM system.columns WHERE database = DATABASE AND table = TABLE ORDER BY position
