"""The current values of the dashboards' lines, from the metrics that the processes expose now.
The page computes rates from two answers.

One point of a line has `labels` and a `value`; for a ratio `value` and `per`; for a quantile `buckets`, which are cumulative
counts by upper bound. Counters and buckets are sums over all processes since the start of each.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from app.observability.signals.panels import DASHBOARDS, Panel, Series, Where

_COMBINED: Final[Mapping[str, Callable[[float, float], float]]] = {"highest": max, "lowest": min}
_OF_WORKERS: Final = "teal_worker_last_tick_timestamp_seconds"
_INFO: Final = "teal_build_info"


@dataclass(frozen=True, slots=True)
class ProcessMetrics:
    """The metrics of one process: its identity, and its samples by metric name, each with
    its own labels and those of the process."""

    color: str
    release: str
    component: str
    samples: Mapping[str, Sequence[tuple[Mapping[str, str], float]]]


def parse_process(exposed: str) -> ProcessMetrics:
    """Parse the text of a process's /metrics."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(exposed):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    info = next((labels for labels, _ in found.get(_INFO, ())), {})
    color, release = info.get("color", ""), info.get("release", "")
    component = "worker" if _OF_WORKERS in found else "app"
    own = {"color": color, "release": release, "component": component}
    return ProcessMetrics(
        color, release, component, {name: [({**own, **labels}, value) for labels, value in all_] for name, all_ in found.items()}
    )


def dashboards(processes: Sequence[ProcessMetrics]) -> list[dict[str, Any]]:
    """Every dashboard with its panels and their points; what only Prometheus can answer is left out."""
    return [
        {"slug": one.slug, "title": one.title, "panels": [_panel(panel, processes) for panel in one.panels if _lines(panel)]}
        for one in DASHBOARDS
    ]


def _lines(panel: Panel) -> list[Series]:
    return [line for line in panel.lines if line.kind != "query"]


def _panel(panel: Panel, processes: Sequence[ProcessMetrics]) -> dict[str, Any]:
    return {
        "title": panel.title,
        "unit": panel.unit,
        "about": panel.about,
        "lines": [
            {"kind": line.kind, "name": line.name, "quantile": line.quantile, "points": points(line, processes)}
            for line in _lines(panel)
        ],
    }


def points(line: Series, processes: Sequence[ProcessMetrics]) -> list[dict[str, Any]]:
    """One point for each combination of the line's labels, sorted by them."""
    if line.kind == "quantile":
        return _buckets(line, processes)
    values = _grouped(line.metric, line.where, line.by, processes, _COMBINED.get(line.kind, _add))
    if line.kind != "ratio":
        return [{"labels": list(key), "value": value} for key, value in sorted(values.items())]
    per = _grouped(line.per, line.per_where, line.by, processes, _add)
    return [{"labels": list(key), "value": values.get(key, 0.0), "per": all_} for key, all_ in sorted(per.items())]


def _buckets(line: Series, processes: Sequence[ProcessMetrics]) -> list[dict[str, Any]]:
    found = _grouped(f"{line.metric}_bucket", line.where, (*line.by, "le"), processes, _add)
    grouped: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for key, count in found.items():
        grouped.setdefault(key[:-1], []).append((float(key[-1]), count))
    return [
        # JSON has no infinity, so null stands for the upper bound of the last bucket.
        {"labels": list(key), "buckets": [[None if math.isinf(bound) else bound, count] for bound, count in sorted(all_)]}
        for key, all_ in sorted(grouped.items())
    ]


def _add(one: float, other: float) -> float:
    return one + other


def _grouped(
    metric: str, where: Where, by: tuple[str, ...], processes: Iterable[ProcessMetrics], combine: Callable[[float, float], float]
) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for one in processes:
        for labels, value in one.samples.get(metric, ()):
            if math.isfinite(value) and all(re.fullmatch(pattern, labels.get(label, "")) for label, pattern in where.items()):
                key = tuple(labels.get(label, "") for label in by)
                found[key] = combine(found[key], value) if key in found else value
    return found
