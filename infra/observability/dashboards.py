"""The CloudWatch dashboard as plain data: first what users notice, then each part. Cost: 3 USD a month, three are free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_COLUMNS: Final = 24  # CloudWatch's grid
_WIDTH: Final = 8
_HEIGHT: Final = 6
_PERIOD_SECONDS: Final = 60


@dataclass(frozen=True)
class Graph:
    """One graph: metrics of one namespace, each with its dimensions and statistic. `unit` is written on the axis."""

    title: str
    namespace: str
    metrics: tuple[tuple[str, Mapping[str, str], str], ...]
    unit: str


def graphs(
    load_balancer: str, target_groups: Mapping[str, str], database: str, cache_nodes: Sequence[str], cluster: str
) -> tuple[Graph, ...]:
    """The graphs in reading order. The names are those by which CloudWatch knows the resources."""
    balancer = {"LoadBalancer": load_balancer}
    colors = {color: {**balancer, "TargetGroup": suffix} for color, suffix in sorted(target_groups.items())}
    elb, rds, cache = "AWS/ApplicationELB", "AWS/RDS", "AWS/ElastiCache"
    database_is = {"DBInstanceIdentifier": database}

    def each_color(name: str, statistic: str) -> tuple[tuple[str, Mapping[str, str], str], ...]:
        return tuple((name, dimensions, statistic) for dimensions in colors.values())

    def each_node(name: str, statistic: str) -> tuple[tuple[str, Mapping[str, str], str], ...]:
        return tuple((name, {"CacheClusterId": node}, statistic) for node in cache_nodes)

    return (
        Graph("Requests by color", elb, each_color("RequestCount", "Sum"), "requests a minute"),
        Graph("Errors by color", elb, (*each_color("HTTPCode_Target_5XX_Count", "Sum"), ("HTTPCode_ELB_5XX_Count", balancer, "Sum")), "answers a minute"),
        Graph("First byte, p50 and p99", elb, (*each_color("TargetResponseTime", "p50"), *each_color("TargetResponseTime", "p99")), "seconds"),
        Graph("Healthy pods by color", elb, each_color("HealthyHostCount", "Minimum"), "pods"),
        Graph("Connections", elb, (("ActiveConnectionCount", balancer, "Sum"), ("RejectedConnectionCount", balancer, "Sum")), "connections"),
        Graph("Load balancer capacity", elb, (("ConsumedLCUs", balancer, "Sum"),), "LCU"),
        Graph("Database load", rds, (("CPUUtilization", database_is, "Average"),), "percent"),
        Graph("Database connections", rds, (("DatabaseConnections", database_is, "Maximum"),), "connections"),
        Graph("Database disk free", rds, (("FreeStorageSpace", database_is, "Minimum"),), "bytes"),
        Graph("Cache memory", cache, each_node("DatabaseMemoryUsagePercentage", "Maximum"), "percent"),
        Graph("Cache evictions", cache, each_node("Evictions", "Sum"), "keys a minute"),
        Graph("Nodes", "ContainerInsights", (("cluster_node_count", {"ClusterName": cluster}, "Maximum"), ("cluster_failed_node_count", {"ClusterName": cluster}, "Maximum")), "nodes"),
    )  # fmt: skip


def body(region: str, title: str, drawn: Sequence[Graph]) -> dict[str, Any]:
    """CloudWatch's dashboard body: a heading, then three graphs a row."""
    heading = {"type": "text", "x": 0, "y": 0, "width": _COLUMNS, "height": 1, "properties": {"markdown": f"# {title}"}}
    per_row = _COLUMNS // _WIDTH
    widgets = [
        {
            "type": "metric",
            "x": (number % per_row) * _WIDTH,
            "y": 1 + (number // per_row) * _HEIGHT,
            "width": _WIDTH,
            "height": _HEIGHT,
            "properties": {
                "title": graph.title,
                "region": region,
                "view": "timeSeries",
                "period": _PERIOD_SECONDS,
                "yAxis": {"left": {"label": graph.unit, "showUnits": False, "min": 0}},
                "metrics": [_metric(graph.namespace, *each) for each in graph.metrics],
            },
        }
        for number, graph in enumerate(drawn)
    ]
    return {"widgets": [heading, *widgets]}


def _metric(namespace: str, name: str, dimensions: Mapping[str, str], statistic: str) -> list[Any]:
    flat = [part for pair in dimensions.items() for part in pair]
    return [namespace, name, *flat, {"stat": statistic}]
