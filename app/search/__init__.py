"""Search engines behind one port: Elasticsearch, and SQLite inside the process."""
