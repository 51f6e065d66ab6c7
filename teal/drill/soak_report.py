"""A soak's result as text for people. Pure functions."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from teal.drill.flat import UNITS, Growth, Sample
from teal.drill.soak_judge import JUDGED_MINUTES, KEPT, SoakResult


def summary_lines(found: SoakResult) -> list[str]:
    """What was caused and what users met, and each failure that no fault explains."""
    caused = Counter(one.drill for one in found.faults)
    lines = [
        f"seed {found.seed}; {found.ran_seconds / 60:.1f} of {found.minutes:g} min; load average {', '.join(f'{one:.1f}' for one in found.loads)} (begin, highest, end)",
        f"{len(found.faults)} faults: {', '.join(f'{name} {times}' for name, times in sorted(caused.items())) or 'none'}",
        f"{found.failed_requests} of {found.requests} requests failed, in {found.degraded_minutes} minutes; {len(found.unexplained)} of them are explained by no fault",
        f"answers: p50 {found.p50_seconds:.3f} s, p99 {found.p99_seconds:.3f} s; sent late by {found.p99_late_seconds:.3f} s at p99",
        f"{found.documents} documents acknowledged, {len(found.lost)} lost, {found.doubled} doubled; {found.left_processes} processes left over",
    ]
    lines += [
        f"minute {one.minute}, {time.strftime('%H:%M:%S', time.gmtime(one.at))} UTC, {one.kind}: {one.why}"
        for one in found.unexplained[:KEPT]
    ]
    if not found.memory_is_judged:
        lines.append(f"memory and descriptors are measured and not judged in less than {JUDGED_MINUTES:g} min")
    return lines


def growth_table(growths: Sequence[Growth]) -> Table:
    """The growth of each part's processes."""
    table = Table(box=None, pad_edge=False)
    for column in ("part", "processes", "quantity", "median", "highest", "within, an hour", "across, an hour", "limit"):
        table.add_column(column)
    for one in growths:
        accident = " (accident)" if one.across_is_accident and one.across_per_hour is not None else ""
        noise = " (noise)" if one.within_is_noise and (one.within_per_hour or 0.0) > one.limit_per_hour else ""
        table.add_row(one.part, str(one.generations), UNITS[one.quantity], f"{one.level:.1f}", f"{one.most:.1f}",
                      _slope(one.within_per_hour) + noise, _slope(one.across_per_hour) + accident, f"{one.limit_per_hour:g}")  # fmt: skip
    return table


def samples_csv(samples: Sequence[Sample]) -> str:
    """Every measurement of every process, one a line."""
    lines = ["at,part,pid,started,memory_mb,descriptors"]
    lines += [f"{one.at:.1f},{one.part},{one.pid},{one.started:.1f},{one.memory_mb:.3f},{one.descriptors}" for one in samples]
    return "\n".join(lines) + "\n"


def _slope(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f}"
