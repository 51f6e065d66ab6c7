"""Load on a running service, from outside: over HTTP and subprocesses, importing neither `app` nor `teal`."""
