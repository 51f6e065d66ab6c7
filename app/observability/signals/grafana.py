"""Grafana's dashboards: `python -m app.observability.signals.grafana` writes them to dashboards/grafana/, `--check` says whether they are in step."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from app.observability.signals.panels import DASHBOARDS, Dashboard, Panel, Series, Unit
from app.observability.signals.promql import promql_query

FOLDER: Final = Path("dashboards/grafana")
_UNITS: Final[dict[Unit, str]] = {
    "per second": "ops", "share": "percentunit", "seconds": "s", "bytes": "bytes", "number": "short", "cores": "none",
}  # fmt: skip
_SOURCE: Final = {
    "type": "prometheus",
    "uid": "${source}",
}  # chosen at the top of the dashboard: one file fits every Prometheus
_COLUMNS: Final = 24  # width of Grafana's grid
_ACROSS: Final = 3
_HIGH: Final = 8


def dashboard(drawn: Dashboard) -> dict[str, Any]:
    """Grafana's JSON model, schema 39 (Grafana 10.4 and later read it)."""
    choice = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}, "hide": 0}
    return {
        "uid": f"teal-{drawn.slug}",
        "title": f"Teal: {drawn.title}",
        "tags": ["teal"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [choice]},
        "links": [{"type": "dashboards", "tags": ["teal"], "title": "Teal", "asDropdown": True, "includeVars": True, "keepTime": True}],
        "panels": [_panel(number, panel) for number, panel in enumerate(drawn.panels)],
    }  # fmt: skip


def files() -> dict[str, str]:
    """The text of each file of `dashboards/grafana/`, by file name."""
    return {f"{one.slug}.json": json.dumps(dashboard(one), indent=1, ensure_ascii=False) + "\n" for one in DASHBOARDS}


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    wide = _COLUMNS // _ACROSS
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": {"x": number % _ACROSS * wide, "y": number // _ACROSS * _HIGH, "w": wide, "h": _HIGH},
        "fieldConfig": {"defaults": {"unit": _UNITS[panel.unit], "min": 0, "custom": {"fillOpacity": 8}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [_target(letter, line) for letter, line in zip("ABCDEFGH", panel.lines, strict=False)],
    }


def _target(letter: str, line: Series) -> dict[str, Any]:
    legend = " ".join((line.name, *(f"{{{{{label}}}}}" for label in line.by))).strip()
    return {"refId": letter, "datasource": _SOURCE, "expr": promql_query(line), "legendFormat": legend or line.metric}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m app.observability.signals.grafana", description=__doc__)
    parser.add_argument("--check", action="store_true", help="Exit 1 when a file differs.")
    check = parser.parse_args().check
    wanted = files()
    if check:
        if {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")} != wanted:
            sys.exit(
                f"{FOLDER} is not in step with app/observability/signals/panels.py: run `.venv/bin/python -m app.observability.signals.grafana`"
            )
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
