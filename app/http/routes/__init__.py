"""The routes: they translate between HTTP and the service, and contain no other logic."""
