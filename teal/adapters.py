"""Every adapter of the ports (teal/ports/), registered once by name as `module:attribute`, and which ones each place uses.

Adding one is a new module and one line in its table; a place uses it when `LAPTOP` or `AWS` names it. `adapter` imports only what was chosen, so that
the laptop does not load the libraries for AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Literal

from teal.errors import BadInput

Port = Literal["traffic", "runtime", "metrics"]

ADAPTERS: Final[Mapping[Port, Mapping[str, str]]] = {
    # teal/laptop/open_traffic.py calls the first with the layout and the entries;
    # teal/aws/target.py calls the second with the ALB's outputs.
    "traffic": {"caddy": "teal.laptop.traffic:open_caddy", "alb": "teal.aws.traffic:Alb"},
    "runtime": {"supervisor": "teal.laptop.runtime:SupervisorRuntime", "pulumi": "teal.aws.runtime:PulumiRuntime"},
    "metrics": {"scrape": "teal.metrics.scrape:ScrapeMetrics", "prometheus": "teal.metrics.prometheus:PrometheusMetrics"},
}


@dataclass(frozen=True, slots=True)
class ChosenAdapters:
    """The adapter of each port, by name."""

    traffic: str
    runtime: str
    metrics: str


LAPTOP: Final = ChosenAdapters(traffic="caddy", runtime="supervisor", metrics="scrape")
AWS: Final = ChosenAdapters(traffic="alb", runtime="pulumi", metrics="prometheus")


def adapter(port: Port, name: str) -> Any:
    """The class or function that makes the adapter registered under `name`.
    Raises BadInput, which lists the known names, for any other."""
    table = ADAPTERS[port]
    if name not in table:
        raise BadInput(
            f"There is no {port} adapter {name!r}; there are {', '.join(table)}",
            where="teal/adapters.py",
            next=f"choose one of {', '.join(table)}, or register it there",
        )
    module, _, attribute = table[name].partition(":")
    return getattr(import_module(module), attribute)
