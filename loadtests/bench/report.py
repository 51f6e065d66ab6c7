"""Reports of the measurements, as a table for people and JSON for programs: minimum, median and maximum over the repetitions."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Final

Row = dict[str, float]
_WIDTHS: Final = (24, 28, 14, 24, 24, 16)  # of the columns after the name


def spread_by_measure(repetitions: Sequence[dict[str, Row]]) -> dict[str, dict[str, dict[str, float]]]:
    """{scenario: {measure: {min, median, max}}}."""
    return {
        name: {measure: _of([one[name][measure] for one in repetitions]) for measure in row}
        for name, row in repetitions[0].items()
    }


def _of(values: Sequence[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def bench_table(result: dict[str, Any]) -> str:
    """Scenarios, one a line. CPU comes first: on a shared machine it is the steadier number."""
    heads = ("event loop CPU, ms", "other threads, ms", "a CPU second", "p50, ms", "p99, ms", "first byte, ms")
    lines = [f"{'':32}" + "".join(f"{head:>{width}}" for head, width in zip(heads, _WIDTHS, strict=True))]
    for name, row in result["requests"].items():
        if name == "idle":
            continue
        per_cpu = f"{row['requests_per_cpu_s']['median']:,.0f}" if "requests_per_cpu_s" in row else ""
        first = f"{row['first_p50_ms']['median']:.2f}" if "first_p50_ms" in row else ""
        cells = [
            _cell(row, "loop_cpu_ms", 3),
            _cell(row, "others_cpu_ms", 3),
            per_cpu,
            _cell(row, "p50_ms", 1),
            _cell(row, "p99_ms", 1),
            first,
        ]
        lines.append(f"{name:32}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTHS, strict=True)))
    lines.append(
        "(each: median, minimum to maximum over the repetitions; alone: one client, saturated: several, both closed loop; else open"
    )
    lines.append(" loop, where latency counts from the scheduled time)")
    for title, part in (("ingestion", "ingestion"), ("process", "process"), ("ratios in the same repetition", "ratios")):
        lines.append(f"\n{title}")
        for name, row in result[part].items():
            lines.append(f"  {name:44}{row['median']:>10.2f}  ({row['min']:.2f} to {row['max']:.2f})")
    return "\n".join(lines)


def _cell(row: dict[str, dict[str, float]], measure: str, digits: int) -> str:
    if measure not in row:
        return ""
    found = row[measure]
    return f"{found['median']:.{digits}f} ({found['min']:.{digits}f}-{found['max']:.{digits}f})"


def ratios(repetitions: Sequence[dict[str, Row]]) -> dict[str, dict[str, float]]:
    """Ratios of the service to the engine alone, and of cached answers to the floor."""
    pairs = {
        "uncached search p50 / engine alone p50": ("search, uncached, alone", "engine alone", "p50_ms"),
        "vector known search p50 / engine alone p50": ("vector known, alone", "engine alone", "p50_ms"),
        "cached search CPU / healthz CPU": ("search, cached in process", "healthz", "loop_cpu_ms"),
    }
    return {
        name: _of([one[above][measure] / one[below][measure] for one in repetitions])
        for name, (above, below, measure) in pairs.items()
    }


def single(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """{measure: {min, median, max}} of repetitions that hold one row each."""
    return {measure: _of([row[measure] for row in rows]) for measure in rows[0]}
