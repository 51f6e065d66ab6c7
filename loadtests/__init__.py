"""Load tests and benchmarks of a running service, over HTTP and subprocesses. Imports neither `app` nor `teal`."""
