"""The operator's commands for snapshots: take, list, test, restore. `python -m app.admin` does the work on the data."""
