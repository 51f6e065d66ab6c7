"""Retrieval-augmented generation as plain functions on plain data."""
