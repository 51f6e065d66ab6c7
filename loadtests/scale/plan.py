"""Computes the shards, nodes, pods and dollars for a number of passages and questions. Pure arithmetic: no clock, no network.

What is modelled, and how:

- A shard holds at most 50 GB and 200 million passages. Each search asks every shard; inside one, its CPU grows with the logarithm of the
  passages (the steps of a walk through a graph of neighbours). More than `measured_passages` were never measured.
- Quantised vectors and their graph stay in the page cache of the nodes, in every copy. The number of nodes is the largest of
  those that memory, disks and CPU need, and each shard has enough copies that every node has one; the cheapest node size is used.
- All questions are new: no cache answers any.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loadtests.scale.inputs import Inputs

FEWEST_COPIES: Final = 2  # of each shard: a node may be lost
INDEXES: Final = 2  # on disk: the one that is searched, and another one beside it while a release with a new index is under way
FEWEST_NODES: Final = 3  # of which one may be lost
HOURS_A_MONTH: Final = 730  # AWS's own month: 8,760 hours / 12
GIB: Final = 2**30
SMALLEST_DISK_GIB: Final = 4  # the minimum of teal:search.storage_gib
SMALLEST_DATABASE_GIB: Final = 20  # of an RDS volume of gp3


@dataclass(frozen=True, slots=True)
class SearchPod:
    """One size of Elasticsearch node, and the price of its machine, which it does not share."""

    gib: int
    heap_gib: float
    cpu: float
    usd_an_hour: float


@dataclass(frozen=True, slots=True)
class Units:
    """The output of `python -m infra.cost.units`: sizes, prices (USD by key) and the largest value of each setting of a stack."""

    search_pods: tuple[SearchPod, ...]
    app_pod_cpu: float
    app_pod_usd_an_hour: float
    target_cpu_share: float
    usd: Mapping[str, float]
    largest: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Bound:
    """The part of a limit that a plan uses. Above 1 it cannot be built with this configuration. `why`: describes the limit."""

    name: str
    used: float
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The resources for one size. Sizes in GB are of one copy, `disk_gib` is of each node.
    `needed_by`: what determines the number of nodes."""

    passages: int
    per_second: float
    shards: int
    copies: int
    nodes: int
    node_gib: int
    needed_by: str
    disk_gib: int
    index_gb: float
    vectors_gb: float
    pods: int
    workers: int
    usd_a_month: float
    snapshot_hours: float
    restore_hours: float
    reindex_hours: float
    bounds: tuple[Bound, ...]

    @property
    def first_limit(self) -> Bound:
        """The limit that is nearest, or exceeded most."""
        return max(self.bounds, key=lambda bound: bound.used)


def plan(passages: int, per_second: float, inputs: Inputs, units: Units) -> Plan:
    """The cheapest plan for `per_second` new questions a second on `passages` passages."""
    index_gb = passages * disk_bytes_a_passage(inputs) / 1e9
    vectors_bytes = passages * vector_bytes_a_passage(inputs)
    shards = max(
        1,
        math.ceil(index_gb / inputs.shard_gb.value),
        math.ceil(passages / inputs.shard_passages.value),
        math.ceil(vectors_bytes / max(_cache_bytes(pod, inputs) for pod in units.search_pods)),  # a shard's vectors fit a node
    )
    engine_cores = per_second * engine_cpu_seconds(passages, shards, inputs)
    sizes = [
        _cluster(pod, passages, shards, engine_cores, inputs, units)
        for pod in units.search_pods
        if vectors_bytes <= shards * _cache_bytes(pod, inputs)
    ]
    cluster = min(sizes, key=lambda one: (one.nodes * one.pod.usd_an_hour, one.nodes))
    app_cores = per_second * inputs.app_cpu_ms_a_search.value / 1000
    pods = max(2, math.ceil(app_cores / (units.app_pod_cpu * units.target_cpu_share)))
    ingest_core_seconds = passages * inputs.ingest_cpu_ms_a_passage.value / 1000
    daily = ingest_core_seconds * inputs.changed_share_a_day.value / 86_400
    workers = max(1, math.ceil(daily / (units.app_pod_cpu * units.target_cpu_share)))
    jobs_a_second = passages * inputs.changed_share_a_day.value / inputs.passages_a_document.value / 86_400
    # A snapshot reads one copy of each shard, so at most as many nodes as shards take part.
    copy_hours = index_gb * 1000 / (inputs.copy_mb_a_second.value * min(cluster.nodes, shards)) / 3600
    database_gib = max(SMALLEST_DATABASE_GIB, passages * inputs.body_bytes_a_passage.value / GIB)
    lcu = max(
        per_second * inputs.answer_kb.value * 3600 / 1e6 / inputs.lcu_gb_an_hour.value,
        per_second / inputs.lcu_connections_a_second.value,
    )
    largest = units.largest
    return Plan(
        passages=passages,
        per_second=per_second,
        shards=shards,
        copies=cluster.copies,
        nodes=cluster.nodes,
        node_gib=cluster.pod.gib,
        needed_by=cluster.needed_by,
        disk_gib=cluster.disk_gib,
        index_gb=index_gb,
        vectors_gb=vectors_bytes / 1e9,
        pods=pods,
        workers=workers,
        usd_a_month=_usd(cluster, pods + workers, lcu, database_gib, index_gb, units),
        snapshot_hours=copy_hours,
        restore_hours=copy_hours,  # then search answers; the other copies are made later
        reindex_hours=ingest_core_seconds / (units.app_pod_cpu * largest["service.worker_max"]) / 3600,
        bounds=(
            Bound("nodes", cluster.nodes / largest["search.nodes"], "teal:search.nodes"),
            Bound("copies", (cluster.copies - 1) / largest["search.replicas"], "teal:search.replicas"),
            Bound("shards", shards / largest["search.shards"], "teal:search.shards"),
            Bound(
                "a node's disk",
                cluster.disk_gib / largest["search.storage_gib"],
                "teal:search.storage_gib, the largest gp3 volume",
            ),
            Bound("pods", pods / largest["service.max_replicas"], "teal:service.max_replicas"),
            Bound("workers", workers / largest["service.worker_max"], "teal:service.worker_max"),
            Bound(
                "the database's disk", database_gib / largest["database.storage_gib"], "teal:database.storage_gib, RDS's largest"
            ),
            Bound("the job queue", jobs_a_second / inputs.queue_jobs_a_second.value, "what one PostgreSQL was measured to queue"),
        ),
    )


def vector_bytes_a_passage(inputs: Inputs) -> float:
    """The bytes of a passage that must be in memory: the quantised vector, its correction, and its place in the graph."""
    return inputs.dimensions.value + inputs.vector_bytes_beside_dimensions.value


def disk_bytes_a_passage(inputs: Inputs) -> float:
    """The bytes of a passage on disk: as measured, and more for a vector with more dimensions than the measured one."""
    more = inputs.dimensions.value - inputs.measured_dimensions.value
    return inputs.disk_bytes_a_passage.value + more * inputs.disk_bytes_a_dimension.value


def engine_cpu_seconds(passages: int, shards: int, inputs: Inputs) -> float:
    """CPU seconds of the engine for one search:
    the measured CPU for one shard, times the shards, scaled by the logarithm of a shard's passages."""
    measured = inputs.measured_passages.value
    deeper = math.log(max(passages / shards, measured)) / math.log(measured)
    return inputs.engine_cpu_ms_a_search.value / 1000 * shards * deeper


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Elasticsearch nodes of one size: their number, what determines it, GiB of disk for each, and copies of each shard."""

    pod: SearchPod
    nodes: int
    needed_by: str
    disk_gib: int
    copies: int


def _cluster(pod: SearchPod, passages: int, shards: int, engine_cores: float, inputs: Inputs, units: Units) -> _Cluster:
    """The fewest nodes of this size, with enough copies of each shard that every node has one.

    Copies are added for the CPU of searches alone: a shard's vectors fit a node and its disk, so that memory and disk never need more
    nodes than there are copies of shards.
    """
    searching = math.ceil(engine_cores / (pod.cpu * inputs.search_cpu_share.value))
    copies = max(FEWEST_COPIES, math.ceil(searching / shards))
    vectors_bytes = passages * vector_bytes_a_passage(inputs)
    copy_gib = INDEXES * passages * disk_bytes_a_passage(inputs) / inputs.disk_share.value / GIB
    asked = {
        "one may be lost": FEWEST_NODES,  # with two copies of one shard the third node has no work; it is needed as a third vote
        "memory for vectors": math.ceil(vectors_bytes * copies / _cache_bytes(pod, inputs)),
        "disk": math.ceil(copy_gib * copies / units.largest["search.storage_gib"]),
        "CPU of searches": searching,
    }
    needed_by, nodes = max(asked.items(), key=lambda one: one[1])
    return _Cluster(pod, nodes, needed_by, max(SMALLEST_DISK_GIB, math.ceil(copy_gib * copies / nodes)), copies)


def _cache_bytes(pod: SearchPod, inputs: Inputs) -> float:
    """Bytes of vectors that fit a node's page cache."""
    return (pod.gib - pod.heap_gib) * GIB * inputs.page_cache_share.value


def _usd(cluster: _Cluster, pods: int, lcu: float, database_gib: float, index_gb: float, units: Units) -> float:
    """USD a month: machines, disks, load balancer, the database's disks (two zones), snapshots. Not traffic out, models, NAT, logs, cache."""
    usd = units.usd
    machines = (cluster.nodes * cluster.pod.usd_an_hour + pods * units.app_pod_usd_an_hour) * (1 + usd["eks:auto"]) + usd[
        "eks:cluster"
    ]
    balancer = usd["alb:hour"] + lcu * usd["alb:lcu"]
    disks = cluster.nodes * cluster.disk_gib * usd["ebs:gp3"] + 2 * database_gib * usd["rds:gp3"] + index_gb * usd["s3:gb"]
    return (machines + balancer) * HOURS_A_MONTH + disks


def plans(sizes: Sequence[int], rates: Sequence[float], inputs: Inputs, units: Units) -> list[Plan]:
    """One plan for each size and rate, sizes first."""
    return [plan(size, rate, inputs, units) for size in sizes for rate in rates]


def read_units(document: Mapping[str, Any]) -> Units:
    """Parse the output of `python -m infra.cost.units`."""
    app = document["app_pod"]
    return Units(
        search_pods=tuple(
            SearchPod(one["gib"], one["heap_gib"], one["cpu"], one["usd_an_hour"]) for one in document["search_pods"]
        ),
        app_pod_cpu=app["cpu"],
        app_pod_usd_an_hour=app["usd_an_hour"],
        target_cpu_share=app["target_cpu_share"],
        usd={key: price["usd"] for key, price in document["prices"].items()},
        largest=document["largest"],
    )
