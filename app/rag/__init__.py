"""Retrieval-augmented generation: plain functions on plain data."""
