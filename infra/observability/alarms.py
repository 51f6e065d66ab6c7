"""CloudWatch alarms from `infra.observability.alerts`: which resources each watches, and the arguments of one alarm. Cost: 0.10 USD a metric and month."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import cloudwatch

from infra.observability.alerts import Alert, Metric, Source

_MEMORY_GIB: Final = {"micro": 1, "small": 2, "medium": 4, "large": 8, "xlarge": 16}  # NxLarge has N times the last
_CONNECTION_BYTES: Final = 9_531_392  # RDS: max_connections = LEAST(DBInstanceClassMemory / 9531392, 5000)
_MOST_CONNECTIONS: Final = 5_000
_SYSTEM_SHARE: Final = 0.9  # DBInstanceClassMemory is the class's memory minus what RDS needs, a tenth at most


@dataclass(frozen=True)
class WatchedResources:
    """The resources that alarms watch. `cache_nodes` includes the primary; without a certificate its alarm is left out."""

    load_balancer_suffix: pulumi.Input[str]
    target_group_suffixes: Mapping[str, pulumi.Input[str]]
    database_id: pulumi.Input[str]
    database_class: str
    cache_group_id: pulumi.Input[str]
    cache_nodes: int
    cluster_name: pulumi.Input[str]
    vault_name: pulumi.Input[str]
    stack: str
    watchdog: str  # the function's name
    copies: bool = False  # whether recovery points are copied to another vault
    certificate_arn: pulumi.Input[str] | None = None


def max_connections(instance_class: str) -> int:
    """A cautious estimate of the connections that RDS PostgreSQL allows on a class such as db.t4g.small.

    Raises ValueError for a class of a family or size that is not known here.
    """
    found = re.fullmatch(r"db\.([tmrx])\d+[a-z]*\.(?:(micro|small|medium|large|xlarge)|(\d+)xlarge)", instance_class)
    if found is None:
        raise ValueError(f"{instance_class}: its memory is not known; add its family to infra/observability/alarms.py")
    size = _MEMORY_GIB[found[2]] if found[2] else int(found[3]) * _MEMORY_GIB["xlarge"]
    gib = size * {"r": 2, "x": 4}.get(found[1], 1)
    return min(int(gib * 1024**3 * _SYSTEM_SHARE / _CONNECTION_BYTES), _MOST_CONNECTIONS)


def threshold(alert: Alert, database_class: str) -> float:
    """The alarm's threshold in its metric's own unit."""
    if alert.unit == "percent of max_connections":
        return alert.threshold / 100 * max_connections(database_class)
    return alert.threshold


def alarm_targets(source: Source, watched: WatchedResources) -> Iterator[tuple[str, dict[str, pulumi.Input[str]]]]:
    """Name suffix and dimensions of each resource of a source; none when the stack has no such resource."""
    balancer = {"LoadBalancer": watched.load_balancer_suffix}
    match source:
        case "load-balancer":
            yield "", dict(balancer)
        case "targets":
            for color, suffix in sorted(watched.target_group_suffixes.items()):
                yield f"-{color}", {**balancer, "TargetGroup": suffix}
        case "database":
            yield "", {"DBInstanceIdentifier": watched.database_id}
        case "burstable-database":
            if watched.database_class.startswith("db.t"):
                yield "", {"DBInstanceIdentifier": watched.database_id}
        case "cache":
            # ElastiCache names a group's nodes GROUP-001 and on.
            for number in range(1, watched.cache_nodes + 1):
                yield f"-{number:03}", {"CacheClusterId": pulumi.Output.format("{0}-{1}", watched.cache_group_id, f"{number:03}")}
        case "cluster":
            yield "", {"ClusterName": watched.cluster_name}
        case "vault":
            yield "", {"BackupVaultName": watched.vault_name}
        case "copies":
            if watched.copies:
                yield "", {"BackupVaultName": watched.vault_name}
        case "watchdog":
            yield "", {"FunctionName": watched.watchdog}
        case "watchdog-log":
            yield "", {"Stack": watched.stack}
        case "certificate":
            if watched.certificate_arn is not None:
                yield "", {"CertificateArn": watched.certificate_arn}


def create_alarms(
    prefix: str, alerts: Sequence[Alert], watched: WatchedResources, topic_arn: pulumi.Input[str], parent: pulumi.Resource
) -> list[cloudwatch.MetricAlarm]:
    """One alarm for each alert with a metric and each resource that it watches.
    All publish to the topic when they begin and end."""
    return [
        _alarm(f"{prefix}-{alert.name}{suffix}", alert, alert.metric, dimensions, watched, topic_arn, parent)
        for alert in alerts
        if alert.metric is not None
        for suffix, dimensions in alarm_targets(alert.metric.source, watched)
    ]


def _alarm(
    name: str,
    alert: Alert,
    metric: Metric,
    dimensions: Mapping[str, pulumi.Input[str]],
    watched: WatchedResources,
    topic_arn: pulumi.Input[str],
    parent: pulumi.Resource,
) -> cloudwatch.MetricAlarm:
    comparison = "GreaterThanThreshold" if metric.above else "LessThanThreshold"
    periods = max(1, alert.for_minutes * 60 // metric.period_seconds)
    description = f"{alert.severity}: {alert.summary} ({alert.threshold:g} {alert.unit}). {alert.page}"
    options = pulumi.ResourceOptions(parent=parent)
    if metric.per is not None:
        return cloudwatch.MetricAlarm(
            name,
            name=name,
            alarm_description=description,
            comparison_operator=comparison,
            threshold=threshold(alert, watched.database_class),
            evaluation_periods=periods,
            metric_queries=_share(metric, metric.per, dimensions),
            treat_missing_data=metric.missing,
            alarm_actions=[topic_arn],
            ok_actions=[topic_arn],
            opts=options,
        )
    percentile = metric.statistic.startswith("p")
    return cloudwatch.MetricAlarm(
        name,
        name=name,
        alarm_description=description,
        comparison_operator=comparison,
        threshold=threshold(alert, watched.database_class),
        evaluation_periods=periods,
        namespace=metric.namespace,
        metric_name=metric.name,
        dimensions=dimensions,
        statistic=None if percentile else metric.statistic,
        extended_statistic=metric.statistic if percentile else None,
        # With few requests, as at night, a percentile would be a single slow request.
        evaluate_low_sample_count_percentiles="ignore" if percentile else None,
        period=metric.period_seconds,
        treat_missing_data=metric.missing,
        alarm_actions=[topic_arn],
        ok_actions=[topic_arn],
        opts=options,
    )


def _share(
    metric: Metric, per: str, dimensions: Mapping[str, pulumi.Input[str]]
) -> list[cloudwatch.MetricAlarmMetricQueryArgsDict]:
    def one(identifier: str, name: str) -> cloudwatch.MetricAlarmMetricQueryArgsDict:
        return {
            "id": identifier,
            "metric": {
                "namespace": metric.namespace,
                "metric_name": name,
                "dimensions": dimensions,
                "period": metric.period_seconds,
                "stat": "Sum",
            },
        }

    # A metric without events has no data points at all, not zeros.
    expression = f"IF(FILL(total, 0) >= {metric.at_least}, 100 * FILL(bad, 0) / total, 0)"
    share: cloudwatch.MetricAlarmMetricQueryArgsDict = {
        "id": "share",
        "expression": expression,
        "label": f"{metric.name} in percent of {per}",
        "return_data": True,
    }
    return [share, one("bad", metric.name), one("total", per)]
