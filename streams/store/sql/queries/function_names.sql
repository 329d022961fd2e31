SELECT name FROM system.functions
