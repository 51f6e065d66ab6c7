"""Finds the load at which the service falls behind, and which resource is exhausted there. Pure functions over measured steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SLOWER: Final = 2.0  # factor over the median at the lowest rate, beyond which requests wait for each other
KEPT_UP: Final = 0.95  # the part of the offered rate that must be answered
BUSY: Final = 0.8  # utilisation of an event loop or the machine, above which queues form by chance


@dataclass(frozen=True, slots=True)
class RateStep:
    """One rate: requests offered and answered a second, latency from the scheduled time, CPU a request of the app's event loops,
    of its other threads (embedding) and of the engine."""

    offered: float
    answered: float
    p50_ms: float
    p99_ms: float
    loop_ms: float
    others_ms: float
    engine_ms: float

    @property
    def app_ms(self) -> float:
        return self.loop_ms + self.others_ms


def keeps_up(step: RateStep, first: RateStep) -> bool:
    """Whether the step is served as well as the first one."""
    return step.p50_ms <= SLOWER * first.p50_ms and step.answered >= KEPT_UP * step.offered


def first_step_behind(steps: Sequence[RateStep]) -> RateStep | None:
    """The lowest rate at which the service does not keep up; None when it always does."""
    return next((step for step in steps if not keeps_up(step, steps[0])), None)


def used_up(step: RateStep, processes: int, cores: int) -> str:
    """The exhausted resource at a step: the event loops, one for each process, or the cores, which all parts share."""
    loops = step.answered * step.loop_ms / 1000 / processes
    machine = step.answered * (step.app_ms + step.engine_ms) / 1000
    if loops >= BUSY:
        return f"the event loop of each process: {loops:.0%} busy"
    if machine >= BUSY * cores:
        return f"the machine: {machine:.1f} of {cores} cores for app and engine, without the client"
    return f"neither: loops {loops:.0%} busy, {machine:.1f} of {cores} cores; others on the machine, or waiting for the engine"
