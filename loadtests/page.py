"""Additions to Locust's page: the reports of earlier runs under /reports, so that they can be read from a pod,
and /metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import flask
from locust.env import Environment
from locust.runners import MasterRunner
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from loadtests.generator import GatheredCounts
from loadtests.options import form_refusal
from loadtests.table import Table

FILES: Final = ("index.html", "result.json", "measured.json")
QUANTILES: Final = (0.5, 0.95, 0.99)
_LIST: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Reports</title><h1>Reports</h1>
<ul>{% for run in runs %}<li>{{ run }}: {% for name in files %}<a href="reports/{{ run }}/{{ name }}">{{ name }}</a> {% endfor %}</li>{% endfor %}</ul></html>"""


def extend(web_ui: Any, environment: Environment, gathered: GatheredCounts, out: Path) -> None:
    """Add the routes. They need a login where Locust's own do (--web-login)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LocustCollector(environment, gathered))

    def reports() -> str:
        found = sorted((path.parent.name for path in out.glob("*/result.json")), reverse=True)
        return flask.render_template_string(_LIST, runs=found, files=FILES)

    def report(run: str, name: str) -> flask.Response:
        if name not in FILES:
            flask.abort(404)
        return flask.send_from_directory(out.resolve(), f"{run}/{name}")

    def metrics() -> flask.Response:
        return flask.Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    def refuse() -> flask.Response | None:
        if flask.request.method != "POST" or not flask.request.path.endswith("/swarm"):
            return None
        runner = environment.runner
        if isinstance(runner, MasterRunner) and not runner.worker_count:
            # Locust itself would answer "started", and start nothing.
            waits = f"after a run they are back within {environment.stop_timeout or 0:.0f} s"
            return flask.jsonify({"success": False, "message": f"No worker is connected: {waits}", "host": environment.host})
        said = form_refusal(environment.parsed_options, flask.request.form, sends=not isinstance(runner, MasterRunner))
        return flask.jsonify({"success": False, "message": said, "host": environment.host}) if said else None

    web_ui.app.before_request(refuse)
    _always_run_the_chosen_shape(web_ui)
    for path, view in (("/reports", reports), ("/reports/<run>/<name>", report)):
        web_ui.app.add_url_rule(path, view_func=web_ui.auth_required_if_enabled(view))
    web_ui.app.add_url_rule("/metrics", view_func=metrics)


def _always_run_the_chosen_shape(web_ui: Any) -> None:
    """With --class-picker the page also has a choice of "Shape Class", whose first entry "Default" means none. Without a shape class the
    load shape that is chosen on the same page would be ignored in silence. Our class runs shape `none` as Locust itself would, so it is
    always taken."""
    choose = web_ui._update_shape_class
    web_ui._update_shape_class = lambda name: choose(name or Table.__name__)


class LocustCollector:
    """Exports Locust's statistics to Prometheus, read at each scrape."""

    def __init__(self, environment: Environment, gathered: GatheredCounts) -> None:
        self._environment, self._gathered = environment, gathered

    def collect(self) -> Iterable[Metric]:
        """The metrics of the current run, or of the last one."""
        runner, known = self._environment.runner, self._gathered.now()
        requests = CounterMetricFamily("load_requests", "Requests that ended", labels=["name"])
        failures = CounterMetricFamily("load_failures", "Requests that failed", labels=["name"])
        latency = GaugeMetricFamily("load_latency_seconds", "Latency of the last ten seconds", labels=["name", "quantile"])
        for entry in list(self._environment.stats.entries.values()):
            requests.add_metric([entry.name], entry.num_requests)
            failures.add_metric([entry.name], entry.num_failures)
            for share in QUANTILES:
                found = entry.get_current_response_time_percentile(share)
                if found is not None:
                    latency.add_metric([entry.name, f"{share:g}"], found / 1000)
        yield from (requests, failures, latency)
        yield GaugeMetricFamily("load_users", "Users, or requests due a second", value=runner.user_count if runner else 0)
        yield GaugeMetricFamily("load_streams", "Open streams", value=known.streams)
        yield CounterMetricFamily("load_good_answers", "Questions answered within every limit", value=known.good)
        yield CounterMetricFamily("load_tokens", "Tokens that arrived", value=known.tokens)
        yield GaugeMetricFamily(
            "load_generator_cpu_ratio", "CPU of the busiest process of the generator", value=known.cpu_percent / 100
        )
        late = known.late_p99_ms
        if late is not None:
            yield GaugeMetricFamily(
                "load_generator_late_seconds", "p99 of the generator's own lateness in this run", value=late / 1000
            )
