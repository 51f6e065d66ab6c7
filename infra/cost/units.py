"""What an environment of any size is made of: prices of its units and the largest values that its configuration takes, as JSON.

`python -m infra.cost.units [--region us-east-1]` is asked by `python -m loadtests.scale`, which may not import this package. Needs no
account, no Pulumi and no stack's file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from annotated_types import Le
from pydantic import BaseModel

from infra.config import search_size
from infra.config.sections import DatabaseConfig, SearchConfig, ServiceConfig
from infra.cost import capacity, prices

# Memory of one Elasticsearch pod, which is alone on its machine:
# 85 % of machines with 8, 16, 32 and 64 GiB, so that none is half empty
SEARCH_POD_GIB: Final = (6, 13, 27, 54)


def units(region: str) -> dict[str, Any]:
    """{region, prices: {key: {usd, unit, verified}}, search_pods: [...], app_pod: {...}, largest: {setting: value}}."""
    known = prices.load_prices(region)
    hourly = prices.machines_usd_an_hour(known)
    service = ServiceConfig()
    return {
        "region": region,
        "prices": {key: vars(price) for key, price in known.items() if not key.startswith(prices.MACHINE)},
        "search_pods": [_search_pod(gib, hourly) for gib in SEARCH_POD_GIB],
        "app_pod": _app_pod(service, hourly),
        "largest": largest({"search": SearchConfig, "service": ServiceConfig, "database": DatabaseConfig}),
    }


def largest(sections: Mapping[str, type[BaseModel]]) -> dict[str, float]:
    """The upper bound of each numeric setting in these sections of a stack's configuration, as {section.setting: bound}."""
    return {
        f"{section}.{name}": float(bound.le)
        for section, model in sections.items()
        for name, field in model.model_fields.items()
        for bound in field.metadata
        if isinstance(bound, Le) and isinstance(bound.le, int | float)
    }


def _search_pod(gib: int, hourly: Mapping[str, float]) -> dict[str, Any]:
    """One Elasticsearch pod, alone on the cheapest machine that carries it."""
    cpu = search_size.cpus(gib)
    machine = capacity.machines(capacity.PodNeed("search", 1, cpu, gib, "mr", alone=True), hourly)
    if machine is None:
        raise ValueError(f"no priced machine carries an Elasticsearch pod of {gib} GiB: see infra/cost/ec2_prices.json")
    return {
        "gib": gib,
        "heap_gib": search_size.heap_mib(gib) / 1024,
        "cpu": cpu,
        "machine": machine.type,
        "usd_an_hour": hourly[machine.type],
    }


def _app_pod(service: ServiceConfig, hourly: Mapping[str, float]) -> dict[str, Any]:
    """One pod of the service, app or worker, of the default size: its share of the machines that would carry a hundred of them."""
    cpu, pods = capacity.cores(service.cpu), 100
    machines = capacity.machines(capacity.PodNeed("service", pods, cpu, service.memory_mib / 1024, "cmr"), hourly)
    if machines is None:
        raise ValueError("no priced machine carries a pod of the service: see infra/cost/ec2_prices.json")
    share = machines.count * hourly[machines.type] / pods
    return {"cpu": cpu, "machine": machines.type, "usd_an_hour": share, "target_cpu_share": service.target_cpu_percent / 100}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.cost.units", description=__doc__)
    parser.add_argument("--region", default=prices.HOME, help="whose prices; another than us-east-1 has unverified ones")
    json.dump(units(parser.parse_args(arguments).region), sys.stdout)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
