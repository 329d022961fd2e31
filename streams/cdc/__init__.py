"""Changes of tables: the database is looked at, the connector configured and run."""
