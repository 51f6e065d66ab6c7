"""The operator's command: runs the laptop stack, and talks to the service over HTTPS and `python -m app.admin`."""
