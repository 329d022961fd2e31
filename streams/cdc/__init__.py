"""Changes of tables: whether a database lets its log be read."""
