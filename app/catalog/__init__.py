"""System of record: documents, keys and sessions in SQLite or PostgreSQL."""
