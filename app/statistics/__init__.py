"""Statistics that the parts behind the service report; the worker's metrics and `app.admin advise` use the same reading."""
