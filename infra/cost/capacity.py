"""Computes how many machines of which type a plan needs: those that Auto Mode would most likely start for its pods."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from infra.config import search_size
from infra.config.read import Config
from infra.config.sections import LOAD_CPU, LOAD_GIB

_VCPUS: Final = {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32}
_GIB_PER_VCPU: Final = {"c": 2, "m": 4, "r": 8}
_KUBELET_SHARE: Final = 0.04  # of the CPU; EKS reserves 6 % of the first core, 1 % of the second, less of the others
# CPU requests of the programs on each node: the CloudWatch agent and its Fluent Bit, the secrets driver with its provider, the
# share of kube-state-metrics. A review of this program summed them from their charts (0.35 to 0.42); the larger number is used.
NODE_CPU: Final = 0.42
_USABLE_MEMORY: Final = 0.85
SYSTEM_CPU: Final = 1.5  # sum of the requests of operators, KEDA, metrics and agents, rounded up
SYSTEM_GIB: Final = 3.0
KIBANA_CPU: Final = 0.5
KIBANA_GIB: Final = 1.0


@dataclass(frozen=True)
class PodNeed:
    """Pods of one size that need machines of `families`, on at least `spread` machines because of zones.
    `alone`: one pod a machine."""

    name: str
    pods: int
    cpu: float
    gib: float
    families: str
    spread: int = 1
    alone: bool = False


@dataclass(frozen=True)
class Machines:
    """The cheapest machines that carry a need."""

    need: PodNeed
    type: str
    count: int


def pod_cpu(config: Config) -> float:
    """Cores that one pod of the service asks for."""
    return cores(config.service.cpu)


def cores(cpu: str) -> float:
    """The cores in a Kubernetes quantity: "500m" is half a core."""
    return int(cpu[:-1]) / 1_000 if cpu.endswith("m") else float(cpu)


def vcpus(kind: str) -> int:
    """The vCPUs of a machine type such as m7i.large."""
    return _VCPUS[kind.rpartition(".")[2]]


def replicas(config: Config, load: float) -> tuple[int, int]:
    """Numbers of web pods and workers at `load` times today's traffic.
    The minimum carries today's; the maximum is never exceeded."""
    service = config.service
    web = min(service.max_replicas, math.ceil(service.min_replicas * load))
    return web, min(service.worker_max, math.ceil(max(service.worker_min, 1) * load))


def pod_needs(config: Config, load: float) -> tuple[PodNeed, ...]:
    """The pods of a stack with one color active. Search does not scale by itself; its size is configured."""
    web, workers = replicas(config, load)
    service, search = config.service, config.search
    pod_gib = service.memory_mib / 1_024
    kibana = (KIBANA_CPU, KIBANA_GIB) if search.kibana else (0.0, 0.0)
    pods = web + workers
    # Locust's master, workers and the mock model, when they are asked for (infra/platform/cluster/load_test.py).
    beside = 2 if config.load.mock_model else 1
    locusts = (PodNeed("load", config.load.workers + beside, LOAD_CPU, LOAD_GIB, "cmr"),) if config.load.workers else ()
    # The other pods run on the same machines, so they are counted as a small addition to each pod.
    cpu = pod_cpu(config) + (SYSTEM_CPU + kibana[0]) / pods
    gib = pod_gib + (SYSTEM_GIB + kibana[1]) / pods
    return (
        PodNeed("service", pods, cpu, gib, "cmr", spread=min(config.network.zones, web)),
        PodNeed("search", search.nodes, search_size.cpus(search.memory_gib), search.memory_gib, "mr", alone=True),
        *locusts,
    )


def machines(need: PodNeed, hourly: Mapping[str, float]) -> Machines | None:
    """The cheapest machines of `hourly` (USD by type) that carry `need`; None when none does."""
    best: tuple[float, Machines] | None = None
    for kind, usd in sorted(hourly.items()):
        found = re.fullmatch(r"([cmr])\d+[a-z-]*\.(\w+)", kind)
        if found is None or found[1] not in need.families or found[2] not in _VCPUS:
            continue
        cpu = _VCPUS[found[2]] * (1 - _KUBELET_SHARE) - NODE_CPU
        gib = _VCPUS[found[2]] * _GIB_PER_VCPU[found[1]] * _USABLE_MEMORY
        fit = 1 if need.alone and cpu >= need.cpu and gib >= need.gib else min(int(cpu / need.cpu), int(gib / need.gib))
        if fit < 1:
            continue
        count = max(need.spread, math.ceil(need.pods / (1 if need.alone else fit)))
        if best is None or count * usd < best[0]:
            best = (count * usd, Machines(need, kind, count))
    return best[1] if best else None
