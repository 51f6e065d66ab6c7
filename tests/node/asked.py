"""What the platform's queries ask a Prometheus for: the metrics and labels that its gates, alert rules and dashboards name. Prometheus' own parser
reads the queries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from infra.observability.alerts import ALERTS
from infra.observability.prometheus_rules import rule_groups
from teal.metrics.gates import GATES, counters
from tests.node.prometheus import Prometheus

_DASHBOARDS: Final = Path(__file__).resolve().parents[2] / "dashboards" / "grafana"
_INTERVAL: Final = "$__rate_interval"  # Grafana's own, which it replaces
_NAME: Final = "__name__"


def queries() -> Iterator[tuple[str, str]]:
    """Each with where it stands."""
    for counter in counters(GATES):
        yield f"gate counter {counter.name}", counter.read.promql('namespace="teal-blue"', "60000ms")
    for group in rule_groups(ALERTS)["groups"]:
        for rule in group["rules"]:
            yield f"rule {rule.get('alert') or rule.get('record')}", rule["expr"]
    for file in sorted(_DASHBOARDS.glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", ()):
                yield f"{file.stem}: {panel['title']}", target["expr"].replace(_INTERVAL, "1m")


def missing(prometheus: Prometheus) -> dict[str, list[str]]:
    """Each metric that has no series, and each label of one that none of its series has, with the queries that name it."""
    asked: dict[tuple[str, str], list[str]] = {}
    for where, query in queries():
        for pair in _pairs(prometheus.ask("parse_query", query=query), frozenset()):
            asked.setdefault(pair, []).append(where)
    names = {name for name, _ in asked}
    held = {name: {label for row in prometheus.ask("series", **{"match[]": name}) for label in row} for name in names}
    found: dict[str, list[str]] = {}
    for (name, label), where in sorted(asked.items()):
        if label not in held[name]:
            text = name if not held[name] else f"{name}{{{label}}}"
            found.setdefault(text, []).extend(one for one in where if one not in found.get(text, ()))
    return found


def _pairs(node: Mapping[str, Any], wanted: frozenset[str]) -> Iterator[tuple[str, str]]:
    """A metric and a label that a query wants of it: to choose series by, to group them by, or to match others by."""
    kind = node["type"]
    if kind in ("vectorSelector", "matrixSelector"):
        labels = wanted | {one["name"] for one in node["matchers"] if one["type"] in ("=", "=~")} | {_NAME}
        yield from ((node["name"], label) for label in labels)
        return
    if kind == "aggregation" and not node["without"]:
        wanted = frozenset(node["grouping"])  # the others are gone after it
    elif kind == "binaryExpr" and node["matching"] and node["matching"]["on"]:
        wanted |= set(node["matching"]["labels"])
    for child in (node.get("expr"), node.get("lhs"), node.get("rhs"), *node.get("args", ())):
        if child:
            yield from _pairs(child, wanted)
