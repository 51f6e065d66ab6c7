"""Elasticsearch's own statistics: health of the cluster, each node, and the index behind the alias, in five calls.

Fields: Elasticsearch's API reference, "Cluster health", "Nodes stats", "Index stats". Needs the cluster privilege `monitor`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from elasticsearch import Elasticsearch

from app.search.elasticsearch.connection import client_options, map_client_errors
from app.settings import Settings

TIMEOUT_SECONDS: Final = 10.0  # busy nodes answer late, and no request waits for the statistics
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """One node. Heap and disk are in bytes. `rejected`: searches and writes refused since its
    start because their queues were full."""

    name: str
    heap_used_bytes: int
    heap_limit_bytes: int
    memory_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    rejected: int


@dataclass(frozen=True, slots=True)
class SearchIndex:
    """The index behind the alias; sizes are those of its primaries. `refresh_seconds`: the
    configured interval, negative when it is off."""

    name: str
    shards: int
    replicas: int
    bytes: int
    documents: int
    deleted: int
    refresh_seconds: float
    refreshes: int
    spent_refreshing_seconds: float
    queries: int
    spent_querying_seconds: float


@dataclass(frozen=True, slots=True)
class ElasticsearchStatistics:
    """The statistics of the cluster. `status`: green, yellow or red. `index` is None while there is no index."""

    status: str
    data_nodes: int
    unassigned_shards: int
    nodes: Sequence[NodeStatistics]
    index: SearchIndex | None


def collect_elasticsearch(settings: Settings) -> ElasticsearchStatistics:
    """Read the current statistics. Raises `SearchUnavailable`."""
    with (
        map_client_errors(settings.elasticsearch_url, settings.index),
        Elasticsearch(**client_options(settings, timeout_seconds=TIMEOUT_SECONDS)) as client,
    ):
        health = client.cluster.health()
        nodes = client.nodes.stats(metric=["jvm", "fs", "os", "thread_pool"])
        found = client.indices.get_settings(
            index=settings.index, include_defaults=True, ignore_unavailable=True, flat_settings=True
        )
        stats: Mapping[str, Any] = client.indices.stats(index=settings.index)["indices"] if found else {}
    return ElasticsearchStatistics(
        status=str(health["status"]),
        data_nodes=int(health["number_of_data_nodes"]),
        unassigned_shards=int(health["unassigned_shards"]),
        nodes=tuple(node_statistics(one) for one in nodes["nodes"].values()),
        index=next((index_statistics(name, stats[name], one) for name, one in found.items() if name in stats), None),
    )


def node_statistics(one: Mapping[str, Any]) -> NodeStatistics:
    """The statistics of one node, from its entry in the answer of `GET _nodes/stats`."""
    memory = one["jvm"]["mem"]
    disk = one["fs"]["total"]
    return NodeStatistics(
        name=str(one["name"]),
        heap_used_bytes=int(memory["heap_used_in_bytes"]),
        heap_limit_bytes=int(memory["heap_max_in_bytes"]),
        memory_bytes=int(one["os"]["mem"]["total_in_bytes"]),
        disk_bytes=int(disk["total_in_bytes"]),
        disk_free_bytes=int(disk["available_in_bytes"]),
        rejected=sum(int(one["thread_pool"].get(pool, {}).get("rejected", 0)) for pool in ("search", "write")),
    )


def index_statistics(name: str, stats: Mapping[str, Any], described: Mapping[str, Any]) -> SearchIndex:
    """The statistics of one index, from its entries in the answers of `GET alias/_stats` and of
    `GET alias/_settings?flat_settings&include_defaults`."""
    own, all_ = stats["primaries"], stats["total"]
    given = {**described.get("defaults", {}), **described["settings"]}
    return SearchIndex(
        name=name,
        shards=int(given["index.number_of_shards"]),
        replicas=int(given["index.number_of_replicas"]),
        bytes=int(own["store"]["size_in_bytes"]),
        documents=int(own["docs"]["count"]),
        deleted=int(own["docs"]["deleted"]),
        refresh_seconds=seconds(str(given.get("index.refresh_interval", "1s"))),
        refreshes=int(own["refresh"]["total"]),
        spent_refreshing_seconds=own["refresh"]["total_time_in_millis"] / 1000,
        queries=int(all_["search"]["query_total"]),
        spent_querying_seconds=all_["search"]["query_time_in_millis"] / 1000,
    )


def seconds(interval: str) -> float:
    """An interval of Elasticsearch (`1s`, `500ms`, `-1`) in seconds."""
    digits = interval.rstrip("msdh")
    return float(digits) * _SECONDS.get(interval[len(digits) :], 1.0)
