"""Every alert as data: its metric or expression, its threshold, its severity, and its runbook.

Nothing is created here. `infra.observability.alarms` makes CloudWatch alarms of those with a `metric`, `infra.observability.prometheus_rules` makes
rules of those with an `expression`, `infra.observability.budget` makes a budget of the last one. All of them reach one SNS topic.
The service's objectives are in `infra.observability.slos`; this module makes their alerts from that table.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Literal

from infra.config.kubernetes import STANDARD_SUPPORT_ENDS
from infra.observability.slos import SLOS, Burn, Slo
from infra.platform.search.operator import CA_HOURS

Severity = Literal["page", "ticket"]  # page: a person is woken; ticket: a person looks during working hours
Source = Literal["load-balancer", "targets", "database", "burstable-database", "cache", "cluster", "certificate", "vault", "copies",
                 "watchdog", "watchdog-log"]  # fmt: skip


def _midnight(day: date) -> int:
    """The day's beginning, in seconds since 1970."""
    return int(datetime.combine(day, time(), UTC).timestamp())


_SNAPSHOT = 'elasticsearch_snapshot_stats_latest_snapshot_timestamp_seconds{repository="teal"}'
# Seconds until the end of support of each node's Kubernetes version, as the nodes report it.
_SUPPORT_LEFT = " or ".join(
    f'(kube_node_info{{kubelet_version=~"v{version.replace(".", "[.]")}[.].*"}} * {_midnight(end)} - time())'
    for version, end in STANDARD_SUPPORT_ENDS.items()
)
# ECK keeps its CAs in these Secrets (Go module elastic/cloud-on-k8s v3.5.0, certificates/ca_reconcile.go) and renews them in
# place, so the expression uses the first expiry, and only until a month after it.
_CA_LEFT = (
    f'(kube_secret_created{{namespace="teal-search",secret=~".*-(http|transport)-ca-internal"}} + {CA_HOURS * 3_600} - time())'
)
_WORKERS = '{statefulset="teal-worker",namespace=~"teal.*"}'


@dataclass(frozen=True)
class Metric:
    """A CloudWatch metric. With `per`, the alarm watches the share name/per in percent, and needs `at_least` of `per` in a period."""

    source: Source
    namespace: str
    name: str
    statistic: str
    above: bool = True  # alarm above the threshold; False: below
    period_seconds: int = 60
    per: str | None = None
    at_least: int = 100  # with fewer requests in a period the share is not meaningful
    missing: Literal["notBreaching", "breaching"] = "notBreaching"


@dataclass(frozen=True)
class Alert:
    """One alert. `threshold` is in `unit`; `expression` is PromQL in which `{threshold}` stands for it. `runbook` is a page's slug.

    The alert fires when the condition holds for `for_minutes`.
    """

    name: str
    severity: Severity
    summary: str
    threshold: float
    unit: str
    for_minutes: int
    runbook: str
    expression: str | None = None
    metric: Metric | None = None

    @property
    def page(self) -> str:
        """Path of its runbook in this repository."""
        return f"runbooks/{self.runbook}.md"

    @property
    def rule(self) -> str:
        """Its PromQL with the threshold in it."""
        if self.expression is None:
            raise ValueError(f"{self.name} has no expression")
        return self.expression.replace("{threshold}", f"{self.threshold:g}")


def _share(bad: str, all_: str) -> str:
    return f"({bad}) / ({all_})"


RELEASES = (
    # When this fires the traffic is already returned; a person has to look at what is left of the release.
    Alert("ReleaseWatchdogActed", "page", "The watchdog gave a release's traffic back: its releaser is gone, or users suffered", 0, "times", 1,
          "watchdog", metric=Metric("watchdog-log", "Teal/Watchdog", "TrafficGivenBack", "Sum")),
    Alert("ReleaseWatchdogFails", "ticket", "The watchdog of releases ended with an error", 0, "calls", 5, "watchdog",
          metric=Metric("watchdog", "AWS/Lambda", "Errors", "Sum")),
    # It runs each minute: two missed runs can be a late scheduler of AWS, ten mean that it does not run.
    Alert("ReleaseWatchdogSilent", "ticket", "Nobody looks after releases: the watchdog does not run", 1, "calls a minute", 10, "watchdog",
          metric=Metric("watchdog", "AWS/Lambda", "Invocations", "Sum", above=False, missing="breaching")),
)  # fmt: skip

_ELB, _RDS, _CACHE = "AWS/ApplicationELB", "AWS/RDS", "AWS/ElastiCache"

LOAD_BALANCER = (
    Alert("AnswersFail", "page", "The service answers with 5xx", 1, "percent of requests", 5, "error-rate",
          metric=Metric("load-balancer", _ELB, "HTTPCode_Target_5XX_Count", "Sum", per="RequestCount")),
    Alert("LoadBalancerFails", "page", "The load balancer itself answers 5xx: no target, or one that broke off", 1, "percent of requests", 5,
          "error-rate", metric=Metric("load-balancer", _ELB, "HTTPCode_ELB_5XX_Count", "Sum", per="RequestCount")),
    # Until the first byte, because a streamed answer may rightly take a minute.
    Alert("FirstByteSlow", "page", "One request in a hundred waits for its first byte", 5, "seconds", 10, "slow-answers",
          metric=Metric("load-balancer", _ELB, "TargetResponseTime", "p99")),
    Alert("TargetsUnhealthy", "ticket", "A pod stays in its target group and fails its checks", 0, "pods", 10, "unhealthy-targets",
          metric=Metric("targets", _ELB, "UnHealthyHostCount", "Maximum")),
    # ACM publishes the days about twice a day: over a shorter time the alarm would be without data, and begin and end each time.
    Alert("CertificateExpires", "ticket", "The certificate was not renewed; ACM begins 60 days before", 30, "days left", 1_440,
          "certificate-expiry", metric=Metric("certificate", "AWS/CertificateManager", "DaysToExpiry", "Minimum", above=False,
                                              period_seconds=86_400)),
)  # fmt: skip

DATABASE = (
    Alert("DatabaseBusy", "ticket", "The database's processors are busy", 80, "percent", 15, "database-load",
          metric=Metric("database", _RDS, "CPUUtilization", "Average")),
    # Autoscaling has acted at 10 % free; below this it is at its maximum or waits out its six hours.
    Alert("DatabaseDiskFull", "page", "The database's disk is almost full and did not grow", 2 * 1024**3, "bytes free", 10, "disk-full",
          metric=Metric("database", _RDS, "FreeStorageSpace", "Minimum", above=False)),
    Alert("DatabaseConnections", "ticket", "Connections near the class's maximum", 80, "percent of max_connections", 10, "database-load",
          metric=Metric("database", _RDS, "DatabaseConnections", "Maximum")),
    Alert("DatabaseCreditsGone", "ticket", "A burstable database has used its credits: slow, or billed for more", 20, "credits", 15,
          "database-load", metric=Metric("burstable-database", _RDS, "CPUCreditBalance", "Minimum", above=False, period_seconds=300)),
    # CloudWatch does not have these metrics; the worker reads them from PostgreSQL.
    Alert("DatabaseQuerySlow", "ticket", "A statement or an open transaction goes on and on: it holds locks and keeps dead rows", 300, "seconds",
          5, "database-load", expression="max(teal_postgres_longest_transaction_seconds) > {threshold}"),
    # Autovacuum acts at a fifth of a table; twice that for hours means that it cannot keep up or is held back.
    Alert("DatabaseBloat", "ticket", "A table is full of dead rows: autovacuum does not keep up", 0.4, "share of rows", 240, "database-load",
          expression="max by (table) (teal_postgres_dead_rows_share) > {threshold}"),
)  # fmt: skip

BACKUP = (
    # Without these alarms a failed backup is noticed only when it is needed. All three metrics are published by vault (a public copy
    # of CloudWatch's page of enriched metrics, AWS/Backup); of a copy it is the vault that the recovery point was in.
    Alert("BackupFailed", "ticket", "AWS Backup could not make a recovery point of the database", 0, "failed jobs in a day", 1_440, "backup-failed",
          metric=Metric("vault", "AWS/Backup", "NumberOfBackupJobsFailed", "Sum", period_seconds=86_400)),
    Alert("RestoreTestFailed", "ticket", "The newest recovery point of the database could not be restored", 0, "failed restores in a day", 1_440,
          "backup-failed", metric=Metric("vault", "AWS/Backup", "NumberOfRestoreJobsFailed", "Sum", period_seconds=86_400)),
    Alert("BackupCopyFailed", "ticket", "A recovery point could not be copied to the second region or account", 0, "failed copies in a day", 1_440,
          "backup-failed", metric=Metric("copies", "AWS/Backup", "NumberOfCopyJobsFailed", "Sum", period_seconds=86_400)),
)  # fmt: skip

CACHE = (
    Alert("CacheMemory", "ticket", "The cache is almost full", 85, "percent", 15, "cache-pressure",
          metric=Metric("cache", _CACHE, "DatabaseMemoryUsagePercentage", "Maximum")),
    Alert("CacheEvicts", "ticket", "The cache throws out what is still wanted", 1_000, "keys in 5 minutes", 15, "cache-pressure",
          metric=Metric("cache", _CACHE, "Evictions", "Sum", period_seconds=300)),
    Alert("CacheBusy", "ticket", "The cache's one thread is busy", 80, "percent", 10, "cache-pressure",
          metric=Metric("cache", _CACHE, "EngineCPUUtilization", "Maximum")),
)  # fmt: skip

CLUSTER = (
    Alert("NodesFail", "ticket", "A node of the cluster is not ready", 0, "nodes", 15, "node-failure",
          metric=Metric("cluster", "ContainerInsights", "cluster_failed_node_count", "Maximum")),
    Alert("PodsRestart", "ticket", "A pod restarts again and again", 3, "restarts in 15 minutes", 5, "pod-restarts",
          expression='max by (namespace, pod) (increase(kube_pod_container_status_restarts_total{namespace=~"teal.*"}[15m])) > {threshold}'),
    Alert("KubernetesEnds", "ticket", "EKS' standard support of the cluster's Kubernetes version ends soon; EKS then upgrades it by itself", 120,
          "days left", 60, "kubernetes-upgrade", expression=f"min({_SUPPORT_LEFT}) < {{threshold}} * 86400"),
    Alert("PodsWait", "ticket", "A pod finds no node", 0, "pods", 15, "pods-pending",
          expression='sum by (namespace) (kube_pod_status_phase{phase="Pending",namespace=~"teal.*"}) > {threshold}'),
)  # fmt: skip

SERVICE = (
    Alert("ServiceAbsent", "page", "No process that answers requests reports itself", 1, "processes", 5, "service-absent",
          expression='(count(teal_build_info{component!="worker"}) or vector(0)) < {threshold}'),
    Alert("PartDown", "page", "A part behind the service does not answer", 1, "1 is up", 3, "part-down",
          expression="max by (part) (teal_part_up) < {threshold}"),
    Alert("RetrievalEmpty", "ticket", "Many questions find nothing", 0.3, "share of searches", 30, "empty-retrieval",
          # Answers from a cache are not counted, because they did not search.
          # Fewer than one in 50 seconds are too few for a share.
          expression=f"{_share('sum(rate(teal_retrieval_empty_total[30m]))', 'sum(rate(teal_retrievals_total[30m])) > 0.02')} > {{threshold}}"),
    Alert("RetrievalDegraded", "ticket", "Questions are searched by words alone: no vectors can be made", 0, "searches a second", 10,
          "model-provider", expression="sum(rate(teal_retrieval_degraded_total[10m])) > {threshold}"),
    Alert("ModelRefuses", "page", "The model provider fails or throttles (429)", 0.05, "share of answers", 10, "model-provider",
          expression=f"{_share('sum(rate(teal_model_errors_total[10m]))', 'sum(rate(teal_answers_total[10m])) > 0.02')} > {{threshold}}"),
    Alert("CacheUnreachable", "ticket", "Requests go on without the cache, slower", 1, "errors a second", 5, "cache-unreachable",
          expression="sum(rate(teal_cache_errors_total[5m])) > {threshold}"),
    Alert("QueueOld", "ticket", "A document waits to be indexed", 900, "seconds", 10, "ingest-backlog",
          expression="max(teal_ingest_oldest_queued_seconds) > {threshold}"),
    # Workers are wanted but none is ready, or none runs its loop. While nothing waits, KEDA may want none, which is no fault.
    Alert("WorkerGone", "page", "No worker looks around", 180, "seconds", 5, "worker-gone",
          expression="(time() - max(teal_worker_last_tick_timestamp_seconds)) > {threshold}"
                     f" or ((sum(kube_statefulset_replicas{_WORKERS}) > 0)"
                     f" unless (sum(kube_statefulset_status_replicas_ready{_WORKERS}) > 0))"),
    Alert("DocumentsFail", "ticket", "Documents fail to be indexed", 10, "documents in an hour", 5, "ingest-failures",
          expression='max(delta(teal_documents{status="failed"}[1h])) > {threshold}'),
)  # fmt: skip

SEARCH = (
    Alert("SearchRed", "page", "Shards are missing: answers are incomplete", 0, "1 is red", 3, "search-red",
          expression='max(elasticsearch_cluster_health_status{color="red"}) > {threshold}'),
    Alert("SearchYellow", "ticket", "Copies are missing: one more loss is an outage", 0, "1 is yellow", 30, "search-yellow",
          expression='max(elasticsearch_cluster_health_status{color="yellow"}) > {threshold}'),
    Alert("SearchHeap", "ticket", "Elasticsearch's heap stays full", 0.85, "share", 15, "search-heap",
          expression='max by (name) (elasticsearch_jvm_memory_used_bytes{area="heap"} / elasticsearch_jvm_memory_max_bytes{area="heap"}) > {threshold}'),
    # Elasticsearch stops giving a node shards at 85 % and makes indices read-only at 95 %.
    Alert("SearchDisk", "page", "Elasticsearch's disk comes near its low watermark", 0.8, "share used", 10, "disk-full",
          expression="max by (name) (1 - elasticsearch_filesystem_data_available_bytes / elasticsearch_filesystem_data_size_bytes) > {threshold}"),
    # Pods have a copy of the CA, which is only renewed at a release (runbooks/search-ca.md).
    Alert("SearchCaEnds", "ticket", "The certificate authority of Elasticsearch ends soon: pods that hold its copy would be cut off", 90,
          "days left", 60, "search-ca", expression=f"min({_CA_LEFT} > -30 * 86400) < {{threshold}} * 86400"),
    # The longest schedule of the committed stacks is daily; two hours for the run itself. Workers report it where they take snapshots
    # themselves, and only while they know of one; on AWS Elasticsearch's exporter does.
    Alert("SnapshotStale", "page", "The last search snapshot is too old, or there is none", 26 * 3_600, "seconds", 10, "snapshot-stale",
          expression=f"(min(teal_snapshot_age_seconds) or (time() - max({_SNAPSHOT}))) > {{threshold}}"
                     f" or (absent(teal_snapshot_age_seconds) and on () absent({_SNAPSHOT}))"),
    # Verified weekly, and a day for a run that failed; over a day, because there may be no worker for hours.
    Alert("SnapshotUnverified", "ticket", "No snapshot was restored and compared lately: nobody knows that they can be", 8 * 86_400, "seconds",
          60, "snapshot-stale",
          expression="(time() - max(max_over_time(teal_snapshot_verified_timestamp_seconds[1d]))) > {threshold}"),
)  # fmt: skip


def _burning(slo: Slo, burn: Burn) -> Alert:
    how = {"1h": "BurnsFast", "6h": "Burns", "3d": "BurnsSlowly"}[burn.long]
    return Alert(
        f"{slo.name.capitalize()}{how}",
        burn.severity if slo.wakes else "ticket",
        f"{burn.budget_percent} % of the month's budget for {slo.name} goes in {burn.long}; promised: {slo.objective_percent:g} % of {slo.promise}",
        round(burn.rate * slo.budget, 6),
        "share of events",
        0,  # the windows are the delay
        slo.runbook,
        expression=slo.burning(burn),
    )


OBJECTIVES = tuple(_burning(slo, burn) for slo in SLOS for burn in slo.burns)

BUDGET = Alert(
    "SpendingHigh", "ticket", "The month's spending goes past the budget", 80, "percent of budget_usd", 0, "cost-spike"
)

ALERTS: tuple[Alert, ...] = (
    *LOAD_BALANCER,
    *RELEASES,
    *DATABASE,
    *BACKUP,
    *CACHE,
    *CLUSTER,
    *OBJECTIVES,
    *SERVICE,
    *SEARCH,
    BUDGET,
)
