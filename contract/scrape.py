"""How the metrics collector finds a pod: by the value of its name label and by the name of its container port.

`prometheus.io/...` annotations are not used: an annotation may name any port, these names only
the ports that the network policies open.
"""

from __future__ import annotations

from typing import Final

from contract.pods import NAME_LABEL as NAME_LABEL
from contract.pods import SERVICE as SERVICE

SEARCH_REPORTER: Final = "teal-search-metrics"
LOAD_GENERATOR: Final = "load-master"  # Locust's master, which has the counts of its workers
NAMES: Final = (SERVICE, SEARCH_REPORTER, LOAD_GENERATOR)
WEB_PORT: Final = "http"  # app processes answer requests and /metrics at one port
METRICS_PORT: Final = "metrics"
PORTS: Final = (WEB_PORT, METRICS_PORT)
WORKER_METRICS_PORT: Final = 9102  # where a worker serves /metrics and nothing else
LOAD_METRICS_PORT: Final = 9646  # the same of Locust's master, whose page starts load and is open to nobody
