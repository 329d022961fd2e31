SELECT name FROM system.tables WHERE database = DATABASE ORDER BY name
