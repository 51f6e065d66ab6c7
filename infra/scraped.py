"""How a pod says that it has metrics, and how the collector finds it: by its name's label and its container port's name. One table for both.

No `prometheus.io/...` annotations: an annotation may name any port, these rules only what the pods' own network policies open.
"""

from __future__ import annotations

from typing import Final

NAME_LABEL: Final = "app.kubernetes.io/name"
SERVICE: Final = "teal"  # of the pods of both colors
SEARCH_REPORTER: Final = "teal-search-metrics"
NAMES: Final = (SERVICE, SEARCH_REPORTER)
WEB_PORT: Final = "http"  # app processes answer requests and /metrics at one port
METRICS_PORT: Final = "metrics"
PORTS: Final = (WEB_PORT, METRICS_PORT)
