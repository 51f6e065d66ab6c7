"""Compares the plan's arithmetic with the measurements of a growth run, at each of its sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.scale.inputs import Inputs, growth_rows, measured_step
from loadtests.scale.plan import engine_cpu_seconds


@dataclass(frozen=True, slots=True)
class Compared:
    """CPU milliseconds of one search at one size: measured with one app process, and computed by a plan."""

    passages: int
    engine_ms: float
    computed_engine_ms: float
    app_ms: float
    computed_app_ms: float


def compare(path: Path, inputs: Inputs) -> list[Compared]:
    """One row for each size of the run. Raises `NotAGrowthRun`."""
    return [
        Compared(
            passages=int(row["passages"]),
            engine_ms=float(measured_step(row)["engine_ms"]),
            computed_engine_ms=1000 * engine_cpu_seconds(int(row["passages"]), 1, inputs),
            app_ms=float(measured_step(row)["loop_ms"]) + float(measured_step(row)["others_ms"]),
            computed_app_ms=inputs.app_cpu_ms_a_search.value,
        )
        for row in growth_rows(path)
        if int(row["processes"]) == 1
    ]


def markdown(rows: Sequence[Compared]) -> str:
    """The comparison as a Markdown table for docs/scale.md."""
    lines = ["| passages | engine, ms | computed | app, ms | computed |", "|---:|---:|---:|---:|---:|"]
    lines += [
        f"| {one.passages:,} | {one.engine_ms:.1f} | {one.computed_engine_ms:.1f} | {one.app_ms:.1f} | {one.computed_app_ms:.1f} |"
        for one in rows
    ]
    return "\n".join(lines)
