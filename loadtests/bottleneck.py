"""Finds what limited a run: the generator, a part of the service by its CPU, or a part of the answer by its time.
Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from loadtests.measured import LoadTestResult, MeasuredWindow, ServiceObservation
from loadtests.shapes import UNITS

BUSY: Final = 0.85  # of a core: a single-threaded process with this load is at its limit (Locust warns about its own at 90 %)
MOST: Final = 0.5  # of an answer's time: a part with this share is the main one


def cores(measured: LoadTestResult, parts: Sequence[MeasuredWindow], seen: Sequence[ServiceObservation]) -> dict[str, float]:
    """Cores that each part of the service used within these windows; empty with fewer than two observations."""
    if not parts:
        return {}
    begin, end = measured.began + parts[0].from_seconds, measured.began + parts[-1].to_seconds
    looks = [one for one in seen if begin <= one.at <= end and one.cpu]
    if len(looks) < 2:
        return {}
    first, last = looks[0], looks[-1]
    return {name: max(0.0, used - first.cpu[name]) / (last.at - first.at) for name, used in last.cpu.items() if name in first.cpu}


def name(result: LoadTestResult) -> str:
    """A sentence about the bottleneck; empty when the measurements show none."""
    stages = [stage for stage in result.stages if stage.seconds]
    if not stages:
        return ""
    if any(stage.outcome == "void" for stage in stages):
        first = next(stage for stage in stages if stage.outcome == "void")
        return f"the load generator: {first.why}"
    last = stages[-1]
    busy = {name: used / (last.replicas or 1 if name == "app" else 1) for name, used in last.cpu.items()}
    part = max(busy, key=lambda one: busy[one], default=None)
    said = ""
    if part is not None and busy[part] >= BUSY:
        of = " a process" if part == "app" else ""
        said = f"the CPU of {part}: {busy[part]:.2f} cores{of} at {last.level} {UNITS[result.kind]}"
    return "; ".join(one for one in (said, where_time_goes(result)) if one)


def where_time_goes(result: LoadTestResult) -> str:
    """The part of an answer that takes most of its time, by the service's own Server-Timing."""
    own = result.generator
    parts = {part: ms for part, ms in own.server_ms.items() if part != "total"}
    whole = own.server_ms.get("total") or sum(parts.values())
    if not own.server_timed or not whole:
        return ""
    part = max(parts, key=lambda one: parts[one], default=None)
    if part is None or parts[part] < MOST * whole:
        return ""
    return (
        f"{part} takes {100 * parts[part] / whole:.0f} % of an answer's time: {parts[part] / own.server_timed:.0f} ms on average"
    )
