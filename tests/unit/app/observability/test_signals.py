"""One source of dashboards: Grafana's files are in step with it, every metric exists, and the page's numbers are the processes' own."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

import app.ingestion.housekeeping
import app.ingestion.processor
import app.statistics.exposed
import app.worker  # noqa: F401  - these register metrics
from app.observability.signals import grafana, live
from app.observability.signals.panels import DASHBOARDS, Series
from app.observability.signals.promql import promql_query
from tests.unit.infra.observability.test_alerts import own_metrics

FOLDER = Path(__file__).resolve().parents[4] / grafana.FOLDER
# The process's own, which prometheus_client exposes on Linux; and those of the code that takes snapshots.
OTHERS = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "teal_snapshot_age_seconds"}
LINES = [line for one in DASHBOARDS for panel in one.panels for line in panel.lines]


def test_grafana_s_files_are_in_step_with_the_source() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert written == grafana.files(), "run `.venv/bin/python -m app.observability.signals.grafana`"


def test_every_line_names_a_metric_that_a_process_exposes() -> None:
    known = own_metrics() | OTHERS
    for line in LINES:
        if line.kind != "query":
            names = {f"{line.metric}_bucket" if line.kind == "quantile" else line.metric, *([line.per] if line.per else [])}
            assert names <= known, line


def test_rates_are_of_counters_and_the_others_of_gauges() -> None:
    for line in LINES:
        assert line.kind == "query" or (line.kind in ("rate", "ratio")) == line.metric.endswith("_total"), line


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (Series("rate", "a_total", ("route",), {"status": "5.."}), 'sum by (route) (rate(a_total{status=~"5.."}[5m]))'),
        (Series("highest", "g"), "max (g)"),
        (Series("total", "g", ("color",)), "sum by (color) (g)"),
        (
            Series("ratio", "bad_total", per="all_total"),
            "(sum (rate(bad_total[5m])) or 0 * sum (rate(all_total[5m]))) / sum (rate(all_total[5m]))",
        ),
        (Series("quantile", "s", ("color",), quantile=0.99), "histogram_quantile(0.99, sum by (color, le) (rate(s_bucket[5m])))"),
        (Series("query", "anything"), "anything"),
    ],
)
def test_a_line_as_promql(line: Series, expected: str) -> None:
    assert promql_query(line, "5m") == expected


def test_panels_of_a_dashboard_do_not_overlap() -> None:
    for text in grafana.files().values():
        places = [tuple(panel["gridPos"].values()) for panel in json.loads(text)["panels"]]
        assert len(set(places)) == len(places)
        assert all(x + width <= 24 for x, _, width, _ in places)


def exposed(color: str, ok: int, failed: int, *, worker: bool = False) -> live.ProcessMetrics:
    registry = CollectorRegistry()
    Gauge("teal_build_info", "", ("release", "color"), registry=registry).labels("r1", color).set(1)
    requests = Counter("requests", "", ("status",), registry=registry)
    requests.labels("200").inc(ok)
    requests.labels("503").inc(failed)
    seconds = Histogram("seconds", "", buckets=(0.1, 1.0), registry=registry)
    for _ in range(ok):
        seconds.observe(0.05)
    if worker:
        Gauge("teal_worker_last_tick_timestamp_seconds", "", registry=registry).set(1)
    Gauge("queue", "", registry=registry).set(ok)
    return live.parse_process(generate_latest(registry).decode())


def test_points_are_summed_over_processes_and_split_by_their_labels() -> None:
    both = [exposed("blue", 8, 0), exposed("blue", 2, 1), exposed("green", 4, 2, worker=True)]
    assert [one.component for one in both] == ["app", "app", "worker"]
    failed = Series("ratio", "requests_total", ("color",), {"status": "5.."}, "requests_total")
    assert live.points(failed, both) == [
        {"labels": ["blue"], "value": 1.0, "per": 11.0},
        {"labels": ["green"], "value": 2.0, "per": 6.0},
    ]
    assert live.points(Series("rate", "requests_total", ("status",)), both) == [
        {"labels": ["200"], "value": 14.0},
        {"labels": ["503"], "value": 3.0},
    ]
    assert live.points(Series("highest", "queue"), both) == [{"labels": [], "value": 8.0}]
    assert live.points(Series("lowest", "queue"), both) == [{"labels": [], "value": 2.0}]
    assert live.points(Series("total", "queue", ("component",)), both) == [
        {"labels": ["app"], "value": 10.0},
        {"labels": ["worker"], "value": 4.0},
    ]
    assert live.points(Series("quantile", "seconds", quantile=0.5), both) == [
        {"labels": [], "buckets": [[0.1, 14.0], [1.0, 14.0], [None, 14.0]]}
    ]


def test_what_a_process_does_not_have_is_no_point_and_all_of_it_is_json() -> None:
    nothing = live.parse_process(generate_latest(CollectorRegistry()).decode())
    assert live.points(Series("rate", "requests_total"), [nothing]) == []
    odd = CollectorRegistry()
    Gauge("queue", "", registry=odd).set(math.nan)
    assert live.points(Series("highest", "queue"), [live.parse_process(generate_latest(odd).decode())]) == []
    drawn = live.dashboards([nothing])
    assert [one["slug"] for one in drawn] == [one.slug for one in DASHBOARDS]
    json.dumps(drawn, allow_nan=False)
