"""How fast the service is, and what a request costs: `python -m loadtests.bench`."""
