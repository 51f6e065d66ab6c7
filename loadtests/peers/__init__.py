"""Compares Teal with its peers on the same engine, corpus, models and work: `make bench-peers`."""
