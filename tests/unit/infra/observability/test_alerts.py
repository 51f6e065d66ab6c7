"""Promises of the alert table: every one can fire, says how bad it is, and names a page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

import app.ingestion.housekeeping
import app.ingestion.processor
import app.observability.metrics  # these register the service's metrics
import app.statistics.exposed
from infra.observability import alerts_table
from infra.observability.alarms import max_connections, threshold
from infra.observability.alerts import ALERTS, Alert
from infra.observability.prometheus import scrape_configuration
from infra.observability.slos import SLOS, Slo

# Of prometheus-community/elasticsearch_exporter v1.9.0, README.md (Go module of that name), and kube-state-metrics' pod metrics.
FOREIGN = {
    "elasticsearch_cluster_health_status",
    "elasticsearch_jvm_memory_used_bytes",
    "elasticsearch_jvm_memory_max_bytes",
    "elasticsearch_filesystem_data_available_bytes",
    "elasticsearch_filesystem_data_size_bytes",
    "elasticsearch_snapshot_stats_latest_snapshot_timestamp_seconds",
    "kube_pod_container_status_restarts_total",
    "kube_pod_status_phase",
    "kube_statefulset_replicas",
    "kube_node_info",
    "kube_secret_created",
    "kube_statefulset_status_replicas_ready",
    # The worker's, by the code that takes and verifies snapshots.
    "teal_snapshot_age_seconds",
    "teal_snapshot_verified_timestamp_seconds",
}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}


def own_metrics() -> set[str]:
    return {
        f"{family.name}{suffix}"
        for family in REGISTRY.collect()
        for suffix in SUFFIXES.get(family.type, ("",))
        if family.name.startswith("teal_")
    }


def metric_names(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:teal|elasticsearch|kube)_[a-z0-9_]+", expression))


def test_names_are_unique() -> None:
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_is_watched_in_exactly_one_place_and_names_a_page(alert: Alert) -> None:
    places = [alert.metric is not None, alert.expression is not None, alert.name == "SpendingHigh"]
    assert places.count(True) == 1
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", alert.runbook)
    assert re.fullmatch(r"[A-Z][A-Za-z]+", alert.name)
    assert alert.summary
    assert alert.unit


@pytest.mark.parametrize("alert", [a for a in ALERTS if a.expression], ids=lambda alert: alert.name)
def test_a_rule_asks_only_for_metrics_that_something_exports(alert: Alert) -> None:
    names = metric_names(alert.rule)
    assert names
    assert names <= own_metrics() | FOREIGN
    assert "{threshold}" not in alert.rule
    assert alert.rule.count("(") == alert.rule.count(")")
    assert alert.rule.count("{") == alert.rule.count("}")


@pytest.mark.parametrize("slo", SLOS, ids=lambda slo: slo.name)
def test_an_objective_is_measured_by_what_the_service_counts(slo: Slo) -> None:
    names = metric_names(slo.ratio("5m"))
    assert names
    assert names <= own_metrics()


def test_what_an_objective_calls_good_is_the_bound_of_a_bucket() -> None:
    """Otherwise its series would not be there, and nothing would ever be bad."""
    said = {slo.name: set(re.findall(r'le=~"(\d+)', slo.bad)) for slo in SLOS}
    assert said == {"availability": set(), "latency": {"1"}, "freshness": {"300"}, "groundedness": set()}
    assert 1.0 in app.observability.metrics.LATENCY_BUCKETS_SECONDS
    assert 300.0 in app.ingestion.processor.FRESHNESS._upper_bounds


@pytest.mark.parametrize(
    ("instance_class", "least", "most"),
    [
        ("db.t4g.small", 150, 225),
        ("db.t4g.medium", 350, 450),
        ("db.m7g.large", 750, 901),
        ("db.r7g.large", 1_500, 1_802),
        ("db.r7g.8xlarge", 5_000, 5_000),
    ],
)
def test_the_connection_alarm_follows_the_database_s_size(instance_class: str, least: int, most: int) -> None:
    assert least <= max_connections(instance_class) <= most
    alert = next(a for a in ALERTS if a.name == "DatabaseConnections")
    assert threshold(alert, instance_class) == pytest.approx(0.8 * max_connections(instance_class))


def test_what_a_rule_asks_of_the_cluster_is_kept_by_the_collector() -> None:
    (state,) = [job for job in scrape_configuration()["scrape_configs"] if job["job_name"] == "kube-state-metrics"]
    kept = re.compile(state["metric_relabel_configs"][0]["regex"])
    asked = {name for alert in ALERTS if alert.expression for name in metric_names(alert.rule) if name.startswith("kube_")}
    assert asked
    assert all(kept.fullmatch(name) for name in asked)


def test_an_unknown_database_class_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"db\.z9\.huge"):
        max_connections("db.z9.huge")


def test_the_page_has_every_alert_as_it_is() -> None:
    page = (Path(__file__).resolve().parents[4] / alerts_table.PAGE).read_text(encoding="utf-8")
    assert page == alerts_table.page_with_table(page), "run `.venv/bin/python -m infra.observability.alerts_table`"
    for slo in SLOS:
        assert f"| {slo.name} | " in page
        assert f"| {slo.objective_percent:g} % | {'yes' if slo.wakes else 'no'} |" in page
