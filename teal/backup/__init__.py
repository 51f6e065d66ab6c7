"""Snapshots from the operator's side: take, look, test, put back; the work on the data is `python -m app.admin`'s."""
