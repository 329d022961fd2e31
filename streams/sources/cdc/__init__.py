"""Changes of rows, as Debezium tells them, as events."""
