"""The items of a stack's monthly bill, from the resources that its program registers and from stated assumptions
about its use."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from infra.config.read import Config
from infra.config.sections import RestoreTestOften
from infra.cost import capacity
from infra.cost.prices import HOURS_A_MONTH, MACHINE

_SECONDS_A_MONTH: Final = HOURS_A_MONTH * 3_600
_NODE_DISK_GIB: Final = 80  # Auto Mode's default NodeClass
_METRICS_EVERY_SECONDS: Final = 30  # infra/observability/prometheus.py
_SERIES_PER_POD: Final = 600  # counted: 45 families of the service, most with a route or a bucket label
_SERIES_OF_CLUSTER: Final = 4_000  # the kept series of kube-state-metrics, and those of Elasticsearch
_LOG_BYTES_A_REQUEST: Final = 1_500  # one access line of ours, WAF's and the load balancer's samples
_LOG_GB_OF_PLATFORM: Final = 15  # control plane, flow logs, agents: grows with nodes, not with requests
_ANSWER_BYTES: Final = 6_000  # an answer with its citations; a page of results is smaller
_MODEL_BYTES: Final = 20_000  # to a model provider through NAT, when the model is not in this region
_IMAGE_GB: Final = 20  # a hundred versions that share most layers
_SNAPSHOT_COPIES: Final = 2.0  # of the index, deduplicated
_RESTORE_TEST_HOURS: Final = 3  # an assumption: the restore itself, the hour that it is kept, and the deletion
_RESTORE_TESTS: Final[Mapping[RestoreTestOften, float]] = {"weekly": HOURS_A_MONTH / 168, "monthly": 1.0}  # a month
_LCU_CONNECTIONS: Final = 25  # new ones a second
_LCU_ACTIVE: Final = 3_000  # open ones a minute
_LCU_GB_AN_HOUR: Final = 1.0
_OPEN_SECONDS: Final = 5  # how long one request keeps its connection busy; a streamed answer takes longest

# Average requests a second at load 1. These are assumptions without a production measurement; change them here.
REQUESTS_A_SECOND: Final[Mapping[str, float]] = {"dev": 0.05, "staging": 0.5, "prod": 5.0}
SCALES: Final = "web pods, workers and their machines, LCUs, NAT and egress bytes, logs, metrics, WAF requests"
DOES_NOT_SCALE: Final = (
    "database, cache and search stay as configured: whether they carry it is a load test's answer, not this table's"
)


class PricedResource(Protocol):
    """The fields of a registered resource that this module reads."""

    @property
    def type(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Item:
    """`quantity` units of the price `key` a month. `note` says how many of what, or which assumption."""

    part: str
    key: str
    quantity: float
    note: str


def items(resources: Sequence[PricedResource], config: Config, hourly: Mapping[str, float], load: float) -> tuple[Item, ...]:
    """Every line of the bill. `hourly` has the prices of machines by type, because the cheapest that fit are taken."""
    return (
        *_machines(config, hourly, load),
        *(item for one in resources for item in _fixed(one)),
        *_counted(resources),
        *_used(resources, config, load),
    )


def _machines(config: Config, hourly: Mapping[str, float], load: float) -> Iterator[Item]:
    for need in capacity.pod_needs(config, load):
        found = capacity.machines(need, hourly)
        if found is None:
            yield Item(
                need.name,
                f"{MACHINE}unknown",
                HOURS_A_MONTH,
                f"{need.pods} pods of {need.cpu:.1f} CPU, {need.gib:.1f} GiB: no machine fits",
            )
            continue
        what = f"{found.count} x {found.type} for {need.pods} pods of {need.cpu:.1f} CPU, {need.gib:.1f} GiB"
        yield Item(need.name, f"{MACHINE}{found.type}", found.count * HOURS_A_MONTH, what)
        yield Item(need.name, "eks:auto", found.count * HOURS_A_MONTH * hourly[found.type], "Auto Mode's share of the machines")
        yield Item(need.name, "ebs:gp3", found.count * _NODE_DISK_GIB, f"{found.count} disks of nodes, {_NODE_DISK_GIB} GiB each")
    search = config.search
    yield Item("search", "ebs:gp3", search.nodes * search.storage_gib, f"{search.nodes} data disks of {search.storage_gib} GiB")


def _fixed(one: PricedResource) -> Iterator[Item]:
    """Items billed by the hour or month, independent of use."""
    inputs = one.inputs
    match one.type:
        case "aws:eks/cluster:Cluster":
            yield Item("cluster", "eks:cluster", HOURS_A_MONTH, "control plane")
        case "aws:lb/loadBalancer:LoadBalancer":
            yield Item("load balancer", "alb:hour", HOURS_A_MONTH, "")
            yield Item(
                "load balancer", "ipv4:hour", len(inputs.get("subnets") or ()) * HOURS_A_MONTH, "one public address a zone"
            )
        case "aws:ec2/natGateway:NatGateway":
            yield Item("network", "nat:hour", HOURS_A_MONTH, one.name)
        case "aws:ec2/eip:Eip":
            yield Item("network", "ipv4:hour", HOURS_A_MONTH, one.name)
        case "aws:rds/instance:Instance":
            copies = 2 if inputs.get("multiAz") else 1
            size = int(inputs.get("allocatedStorage") or 0)
            yield Item(
                "database",
                f"rds:{inputs.get('instanceClass')}",
                copies * HOURS_A_MONTH,
                f"{copies} x {inputs.get('instanceClass')}",
            )
            yield Item("database", "rds:gp3", copies * size, f"{copies} x {size} GiB")
        case "aws:elasticache/replicationGroup:ReplicationGroup":
            nodes, kind, engine = int(inputs.get("numCacheClusters") or 1), inputs.get("nodeType"), inputs.get("engine", "redis")
            yield Item("cache", f"cache:{engine}:{kind}", nodes * HOURS_A_MONTH, f"{nodes} x {kind} ({engine})")
        case "aws:wafv2/webAcl:WebAcl":
            rules = len(inputs.get("rules") or ())
            yield Item("firewall", "waf:acl", 1, "")
            yield Item("firewall", "waf:rule", rules, f"{rules} rules")
        case "aws:backup/restoreTestingSelection:RestoreTestingSelection":
            yield Item("backups", "backup:restore-test", math.nan, "AWS Backup's fee for each restore test")
        case "aws:lambda/function:Function":
            yield Item("observability", "lambda:calls", math.nan, f"{one.name}: {HOURS_A_MONTH * 60:,.0f} short calls a month")
        case "aws:amp/scraper:Scraper":
            yield Item("observability", "amp:collector", HOURS_A_MONTH, "managed collector")
        case _:
            return


def _counted(resources: Sequence[PricedResource]) -> Iterator[Item]:
    counted = {
        "aws:kms/key:Key": ("keys", "kms:key", "keys"),
        "aws:secretsmanager/secret:Secret": ("secrets", "secret", "secrets"),
        "aws:cloudwatch/dashboard:Dashboard": (
            "observability",
            "dashboard",
            "dashboards; the first three of an account are free",
        ),
    }
    for kind, (part, key, what) in counted.items():
        number = sum(one.type == kind for one in resources)
        if number:
            yield Item(part, key, number, f"{number} {what}")
    alarms = [one for one in resources if one.type == "aws:cloudwatch/metricAlarm:MetricAlarm"]
    metrics = sum(sum("metric" in query for query in one.inputs.get("metricQueries") or ()) or 1 for one in alarms)
    if metrics:
        yield Item("observability", "alarm", metrics, f"{len(alarms)} alarms on {metrics} metrics")


def _used(resources: Sequence[PricedResource], config: Config, load: float) -> Iterator[Item]:
    """Items billed by use, from the assumptions of this module."""
    rate = REQUESTS_A_SECOND[config.environment] * load
    month = rate * _SECONDS_A_MONTH
    said = f"{rate:g} requests a second"
    egress = month * _ANSWER_BYTES / 1e9
    lcu = max(rate / _LCU_CONNECTIONS, rate * _OPEN_SECONDS / _LCU_ACTIVE, egress / HOURS_A_MONTH / _LCU_GB_AN_HOUR)
    yield Item("load balancer", "alb:lcu", lcu * HOURS_A_MONTH, f"{lcu:.2f} LCU: {said}")
    yield Item("network", "egress:gb", egress, f"{_ANSWER_BYTES / 1e3:g} kB an answer")
    yield Item("network", "nat:gb", month * _MODEL_BYTES / 1e9, f"{_MODEL_BYTES / 1e3:g} kB a request to a model outside")
    yield Item("firewall", "waf:million", month / 1e6, said)
    logs = _LOG_GB_OF_PLATFORM + month * _LOG_BYTES_A_REQUEST / 1e9
    yield Item(
        "observability", "logs:gb", logs, f"{_LOG_GB_OF_PLATFORM} GB of the platform, {_LOG_BYTES_A_REQUEST / 1e3:g} kB a request"
    )
    series = sum(capacity.replicas(config, load)) * _SERIES_PER_POD + _SERIES_OF_CLUSTER
    samples = series * _SECONDS_A_MONTH / _METRICS_EVERY_SECONDS
    yield Item("observability", "amp:million", samples / 1e6, f"{series:,} series every {_METRICS_EVERY_SECONDS} s")
    yield Item("observability", "container-insights", math.nan, "observations of Container Insights: by pod and metric")
    yield Item("images", "ecr:gb", _IMAGE_GB, "100 versions")
    kept = config.search.nodes * config.search.storage_gib / (1 + config.search.replicas) * _SNAPSHOT_COPIES
    yield Item("search", "s3:gb", kept, "snapshots, were the disks full")
    if any(one.type == "aws:backup/plan:Plan" for one in resources):
        yield Item(
            "backups",
            "backup:rds",
            config.database.storage_gib,
            "one full copy; what AWS Backup keeps beyond it depends on writes",
        )
    if any(one.type == "aws:backup/restoreTestingPlan:RestoreTestingPlan" for one in resources):
        tests, kind = _RESTORE_TESTS[config.backup.restore_test], config.database.instance_class
        hours = tests * _RESTORE_TEST_HOURS
        yield Item("backups", f"rds:{kind}", hours, f"{tests:.1f} restore tests of {_RESTORE_TEST_HOURS} h on {kind}")
    if config.backup.copy_to:
        yield Item(
            "backups", "backup:rds", config.database.storage_gib, "one full copy in the other vault, at this region's price"
        )
        yield Item("backups", "backup:copy-gb", math.nan, "transfer of changed blocks to the other region")
    if config.models.generation or config.models.embedding:
        yield Item("models", "bedrock:tokens", math.nan, f"by token: {config.models.generation or config.models.embedding}")
