"""Measures what growth costs: a larger corpus, more app processes, more load."""
