"""Additions to Locust's page: the reports of earlier runs under /reports, so that they can be read from a pod,
and /metrics for Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import flask
from locust.env import Environment
from locust.runners import MasterRunner
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from loadtests.options import form_refusal
from loadtests.table import Table

FILES: Final = ("index.html", "result.json", "measured.json")
_LIST: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Reports</title><h1>Reports</h1>
<ul>{% for run in runs %}<li>{{ run }}: {% for name in files %}<a href="reports/{{ run }}/{{ name }}">{{ name }}</a> {% endfor %}</li>{% endfor %}</ul></html>"""


def extend(web_ui: Any, environment: Environment, counted: CollectorRegistry, out: Path) -> None:
    """Add the routes. They need a login where Locust's own do (--web-login), but /metrics. `counted`: what it says."""

    def reports() -> str:
        found = sorted((path.parent.name for path in out.glob("*/result.json")), reverse=True)
        return flask.render_template_string(_LIST, runs=found, files=FILES)

    def report(run: str, name: str) -> flask.Response:
        if name not in FILES:
            flask.abort(404)
        return flask.send_from_directory(out.resolve(), f"{run}/{name}")

    def metrics() -> flask.Response:
        return flask.Response(generate_latest(counted), content_type=CONTENT_TYPE_LATEST)

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
