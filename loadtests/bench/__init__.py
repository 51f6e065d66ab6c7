"""Benchmarks of the service's speed and of the cost of a request: `python -m loadtests.bench`."""
