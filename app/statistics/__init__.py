"""What the parts behind the service say of themselves: read once for the metrics of the worker and for `app.admin advise`."""
