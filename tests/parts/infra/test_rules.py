"""Every rule of Prometheus, fed: it fires when its condition holds, and none fires on a service that is well. Evaluated by promtool."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.observability import prometheus_rules
from infra.observability.alerts import ALERTS
from infra.observability.slos import SLOS, Slo
from infra.platform.search.operator import CA_HOURS
from tests.services.go_tools import tool
from tests.unit.infra.observability.test_rules import ROOT

MINUTES = 75  # windows of six hours too are filled by what there is of them

LONG_MINUTES = 250  # `for` of the slowest rule, four hours

WITH_RULE = {alert.name: alert for alert in ALERTS if alert.expression}

Series = Mapping[str, str]


def flat(value: float) -> str:
    return f"{value:g}x{LONG_MINUTES}"


def grows(step: float, start: float = 0) -> str:
    """A counter that grows by `step` a minute."""
    return f"{start:g}+{step:g}x{LONG_MINUTES}"


REQUESTS = 'teal_http_requests_total{{method="POST",route="/v1/search",status="{0}",color="blue"}}'

SECONDS_COUNT = 'teal_http_request_seconds_count{route="/v1/search"}'

SECONDS_WITHIN = 'teal_http_request_seconds_bucket{route="/v1/search",le="1.0"}'

FRESH_COUNT, FRESH_WITHIN = "teal_ingest_freshness_seconds_count", 'teal_ingest_freshness_seconds_bucket{le="300.0"}'
WORKER = 'statefulset="teal-worker",namespace="teal-blue"'

RESTARTS = 'kube_pod_container_status_restarts_total{namespace="teal-blue",pod="teal-1"}'

PENDING = 'kube_pod_status_phase{phase="Pending",namespace="teal-blue",pod="teal-1"}'

# The rules know the day of a version's end, and promtool's clock begins in 1970: a node counts for nothing where the end shall be near.
NODE = 'kube_node_info{kubelet_version="v1.35.4-eks-1234567",node="i-0"}'
AUTHORITY = 'kube_secret_created{namespace="teal-search",secret="teal-es-http-ca-internal"}'  # pragma: allowlist secret

HEAP = 'elasticsearch_jvm_memory_used_bytes{area="heap",name="es-0"}'

DISK = 'elasticsearch_filesystem_data_available_bytes{name="es-0"}'

SNAPSHOT = 'elasticsearch_snapshot_stats_latest_snapshot_timestamp_seconds{repository="teal"}'

HEALTHY: Series = {
    'teal_build_info{release="r1",color="blue",environment="prod"}': flat(1),
    'teal_part_up{part="search"}': flat(1),
    'teal_part_up{part="redis"}': flat(1),
    REQUESTS.format(200): grows(600),
    REQUESTS.format(503): grows(0),
    'teal_http_requests_total{method="GET",route="/readyz",status="503",color="green"}': grows(60),  # a color that drains
    SECONDS_COUNT: grows(600),
    SECONDS_WITHIN: grows(598),
    "teal_streams_broken_total": grows(0),
    FRESH_COUNT: grows(60),
    FRESH_WITHIN: grows(60),
    "teal_claims_total": grows(100),
    "teal_dropped_claims_total": grows(1),
    "teal_retrievals_total": grows(300),
    'teal_retrieval_empty_total{mode="hybrid"}': grows(10),
    "teal_retrieval_degraded_total": grows(0),
    'teal_answers_total{label="PromptedWriter",grounded="true"}': grows(60),
    'teal_model_errors_total{provider="openai"}': grows(1),
    "teal_cache_errors_total": grows(0),
    "teal_ingest_oldest_queued_seconds": flat(3),
    "teal_worker_last_tick_timestamp_seconds": grows(60),
    'teal_documents{status="failed"}': flat(2),
    "teal_postgres_longest_transaction_seconds": flat(0.1),
    'teal_postgres_dead_rows_share{table="public.documents"}': flat(0.1),
    "teal_snapshot_age_seconds": flat(3600),
    "teal_snapshot_verified_timestamp_seconds": flat(0),
    f"kube_statefulset_replicas{{{WORKER}}}": flat(1),
    f"kube_statefulset_status_replicas_ready{{{WORKER}}}": flat(1),
    RESTARTS: flat(1),
    PENDING: flat(0),
    NODE: flat(1),
    AUTHORITY: flat(0),
    'elasticsearch_cluster_health_status{color="green"}': flat(1),
    'elasticsearch_cluster_health_status{color="yellow"}': flat(0),
    'elasticsearch_cluster_health_status{color="red"}': flat(0),
    HEAP: flat(5e8),
    'elasticsearch_jvm_memory_max_bytes{area="heap",name="es-0"}': flat(1e9),
    DISK: flat(6e10),
    'elasticsearch_filesystem_data_size_bytes{name="es-0"}': flat(1e11),
    SNAPSHOT: grows(60),
}

# What is wrong, and the labels with which the alert then comes. Each case is the healthy service with these series instead.
WRONG: Mapping[str, tuple[Mapping[str, str | None], dict[str, str]]] = {
    "DatabaseQuerySlow": ({"teal_postgres_longest_transaction_seconds": flat(400)}, {}),
    "DatabaseBloat": ({'teal_postgres_dead_rows_share{table="public.documents"}': flat(0.5)}, {"table": "public.documents"}),
    "PodsRestart": ({RESTARTS: grows(1)}, {"namespace": "teal-blue", "pod": "teal-1"}),
    "PodsWait": ({PENDING: flat(1)}, {"namespace": "teal-blue"}),
    "AvailabilityBurnsFast": ({REQUESTS.format(503): grows(10)}, {"slo": "availability"}),  # 1.6 %
    "AvailabilityBurns": ({"teal_streams_broken_total": grows(5)}, {"slo": "availability"}),  # 0.8 %, all of it broken streams
    "LatencyBurnsFast": ({SECONDS_WITHIN: grows(500)}, {"slo": "latency"}),
    "LatencyBurns": ({SECONDS_WITHIN: grows(550)}, {"slo": "latency"}),
    "FreshnessBurns": ({FRESH_WITHIN: grows(30)}, {"slo": "freshness"}),
    "GroundednessBurns": ({"teal_dropped_claims_total": grows(40)}, {"slo": "groundedness"}),
    "ServiceAbsent": ({'teal_build_info{release="r1",color="blue",environment="prod"}': None}, {}),
    "PartDown": ({'teal_part_up{part="search"}': flat(0)}, {"part": "search"}),
    "RetrievalEmpty": ({'teal_retrieval_empty_total{mode="hybrid"}': grows(120)}, {}),
    "RetrievalDegraded": ({"teal_retrieval_degraded_total": grows(1)}, {}),
    "ModelRefuses": ({'teal_model_errors_total{provider="openai"}': grows(6)}, {}),
    "CacheUnreachable": ({"teal_cache_errors_total": grows(120)}, {}),
    "QueueOld": ({"teal_ingest_oldest_queued_seconds": flat(1000)}, {}),
    "WorkerGone": ({"teal_worker_last_tick_timestamp_seconds": flat(0)}, {}),
    "DocumentsFail": ({'teal_documents{status="failed"}': grows(1)}, {}),
    "SearchRed": ({'elasticsearch_cluster_health_status{color="red"}': flat(1)}, {}),
    "SearchYellow": ({'elasticsearch_cluster_health_status{color="yellow"}': flat(1)}, {}),
    "KubernetesEnds": ({NODE: flat(0)}, {}),
    "SearchCaEnds": ({AUTHORITY: flat(10 * 86_400 - CA_HOURS * 3_600)}, {}),
    "SearchHeap": ({HEAP: flat(9e8)}, {"name": "es-0"}),
    "SearchDisk": ({DISK: flat(1e10)}, {"name": "es-0"}),
    "SnapshotStale": ({"teal_snapshot_age_seconds": flat(100_000)}, {}),
    "SnapshotUnverified": ({"teal_snapshot_verified_timestamp_seconds": flat(-700_000)}, {}),
}

MORE_WAYS: Mapping[str, tuple[Mapping[str, str | None], dict[str, str]]] = {
    "SnapshotStale": ({"teal_snapshot_age_seconds": None, SNAPSHOT: None}, {}),
    "WorkerGone": (
        {f"kube_statefulset_status_replicas_ready{{{WORKER}}}": flat(0), "teal_worker_last_tick_timestamp_seconds": None},
        {},
    ),
}

SLOWLY = [name for name in WITH_RULE if name.endswith("BurnsSlowly")]


def minutes(name: str) -> int:
    return LONG_MINUTES if WITH_RULE[name].for_minutes > MINUTES - 60 else MINUTES


def changed(wrong: Mapping[str, str | None], base: Series = HEALTHY) -> list[dict[str, str]]:
    series = {**base, **wrong}
    return [{"series": name, "values": values} for name, values in series.items() if values is not None]


def expected(name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    alert = WITH_RULE[name]
    return {
        "exp_labels": {"severity": alert.severity, **labels},
        "exp_annotations": {"summary": alert.summary, "runbook": alert.page},
    }


def check(
    tests: list[dict[str, Any]],
    folder: Path,
    names: Collection[str] = WITH_RULE,
    every_seconds: int = prometheus_rules.RULE_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """What promtool says of the tests, with the rules of these alerts."""
    rules = prometheus_rules.rules_yaml([WITH_RULE[name] for name in names]).replace(
        f"interval: {prometheus_rules.RULE_SECONDS}s", f"interval: {every_seconds}s"
    )
    (folder / "rules.yaml").write_text(rules, encoding="utf-8")
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": f"{every_seconds}s", "tests": tests}
    (folder / "tests.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return subprocess.run(
        [tool("promtool"), "test", "rules", "tests.yaml"], cwd=folder, capture_output=True, text=True, check=False, timeout=240
    )


pytestmark = pytest.mark.timeout(1_800)  # the first use builds promtool


def test_the_rule_file_is_one_that_prometheus_takes(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(prometheus_rules.rules_yaml(), encoding="utf-8")
    ended = subprocess.run([tool("promtool"), "check", "rules", "--lint=all", "rules.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False)  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{sum(len(group['rules']) for group in prometheus_rules.rule_groups(ALERTS)['groups'])} rules found" in ended.stdout


def test_prometheus_takes_what_compose_gives_it(tmp_path: Path) -> None:
    document = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    rules = str((ROOT / prometheus_rules.FILE).resolve())
    given = document["configs"]["prometheus"]["content"].replace("/etc/prometheus/rules/rules.yaml", rules)
    (tmp_path / "prometheus.yml").write_text(given, encoding="utf-8")
    ended = subprocess.run(
        [tool("promtool"), "check", "config", "prometheus.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_rule_fires_when_its_condition_holds(tmp_path: Path) -> None:
    assert set(WRONG) | set(SLOWLY) == set(WITH_RULE), "a rule without a condition that causes it"
    tests = [
        {
            "name": f"{name} fires",
            "interval": "1m",
            "input_series": changed(wrong),
            "alert_rule_test": [{"eval_time": f"{minutes(name)}m", "alertname": name, "exp_alerts": [expected(name, labels)]}],
        }
        for table in (WRONG, MORE_WAYS)
        for name, (wrong, labels) in table.items()
    ]
    ended = check(tests, tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_none_fires_on_a_service_that_is_well(tmp_path: Path) -> None:
    quiet = [
        {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": []}
        for minute in (15, MINUTES, LONG_MINUTES)
        for name in WITH_RULE
    ]
    ended = check([{"name": "healthy", "interval": "1m", "input_series": changed({}), "alert_rule_test": quiet}], tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def over_days(slo: Slo, share: float) -> dict[str, str]:
    """Four days of one sample in ten minutes, in which this share of the events is bad."""
    points = 4 * 24 * 6
    good, bad = 1_000 * (1 - share), 1_000 * share
    return {
        "availability": {REQUESTS.format(200): f"0+{good:g}x{points}", REQUESTS.format(503): f"0+{bad:g}x{points}"},
        "latency": {SECONDS_COUNT: f"0+1000x{points}", SECONDS_WITHIN: f"0+{good:g}x{points}"},
        "freshness": {FRESH_COUNT: f"0+1000x{points}", FRESH_WITHIN: f"0+{good:g}x{points}"},
        "groundedness": {"teal_claims_total": f"0+1000x{points}", "teal_dropped_claims_total": f"0+{bad:g}x{points}"},
    }[slo.name]


def test_three_days_above_the_budget_s_pace_are_a_ticket_and_below_are_none(tmp_path: Path) -> None:
    def case(factor: float, fires: bool) -> dict[str, Any]:
        series = {name: values for slo in SLOS for name, values in over_days(slo, factor * slo.budget).items()}
        names = {f"{slo.name.capitalize()}BurnsSlowly": slo.name for slo in SLOS}
        return {
            "name": f"{factor} of the budget's pace",
            "interval": "10m",
            "input_series": changed(series, {}),
            "alert_rule_test": [
                {"eval_time": "80h", "alertname": name, "exp_alerts": [expected(name, {"slo": slo})] if fires else []}
                for name, slo in names.items()
            ],
        }

    ended = check([case(1.5, True), case(0.5, False)], tmp_path, SLOWLY, every_seconds=prometheus_rules.SLOW_RULE_SECONDS)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_few_requests_and_an_old_trouble_wake_nobody(tmp_path: Path) -> None:
    """One failed request of ten is a burn rate of 100, and says nothing. And what ended an hour ago no longer wakes anybody."""
    few = {REQUESTS.format(200): "0x5 0+1x8 8x60", REQUESTS.format(503): "0x8 1x66"}
    over = {REQUESTS.format(503): "0+60x60 3600x60"}
    tests = [
        {
            "name": name,
            "interval": "1m",
            "input_series": changed(wrong, base),
            "alert_rule_test": [{"eval_time": minute, "alertname": "AvailabilityBurnsFast", "exp_alerts": []}],
        }
        for name, wrong, base, minute in (("few", few, {}, "20m"), ("over", over, HEALTHY, "70m"))
    ]
    ended = check(tests, tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
