"""Snapshots of the users' data: taking them, verifying them by a restore, and restoring them beside the running service."""
