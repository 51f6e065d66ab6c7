"""Translates a line of a graph into PromQL."""

from __future__ import annotations

from typing import Final

from app.observability.signals.panels import Series, Where

RATE_WINDOW: Final = "$__rate_interval"  # Grafana's: four scrape intervals or the graph's step, whichever is longer
_GAUGES: Final = {"highest": "max", "lowest": "min", "total": "sum"}


def promql_query(line: Series, window: str = RATE_WINDOW) -> str:
    """The PromQL query for the points of this line; rates are taken over `window`."""
    match line.kind:
        case "query":
            return line.metric
        case "rate":
            return _rate(line.metric, line.where, line.by, window)
        case "ratio":
            bad, all_ = _rate(line.metric, line.where, line.by, window), _rate(line.per, line.per_where, line.by, window)
            return f"({bad} or 0 * {all_}) / {all_}"  # an event that never happened has no series; its share is 0
        case "quantile":
            buckets = _rate(f"{line.metric}_bucket", line.where, (*line.by, "le"), window)
            return f"histogram_quantile({line.quantile:g}, {buckets})"
        case kind:
            return f"{_GAUGES[kind]}{_by(line.by)} ({_series(line.metric, line.where)})"


def _rate(metric: str, where: Where, by: tuple[str, ...], window: str) -> str:
    return f"sum{_by(by)} (rate({_series(metric, where)}[{window}]))"


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def _series(metric: str, where: Where) -> str:
    matchers = ",".join(f'{label}=~"{pattern}"' for label, pattern in sorted(where.items()))
    return f"{metric}{{{matchers}}}" if matchers else metric
