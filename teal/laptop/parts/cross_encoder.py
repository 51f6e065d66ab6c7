"""The cross-encoder: a program that fetches it and ends, started while it is wanted and missing. The service looks for its files
at each question that needs it, so that no process waits for them or is restarted when they arrive."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator

from teal.events import Event
from teal.laptop import cross_encoder, fetch
from teal.laptop.artifacts import CROSS_ENCODER
from teal.laptop.parts.part import CheckRow, Part, PartContext
from teal.laptop.program import NETWORK, PACKAGES, PLAIN, Program, shell_env

VARIABLES = (*PLAIN, *NETWORK, *PACKAGES, "TEAL_CROSS_ENCODER", "TEAL_EMBEDDING", "TEAL_GENERATION")
WAIT_SECONDS = 5.0  # for 73 MB; long enough to see that there is no answer, and an optional part does not delay the first start
STEP_SECONDS = 0.2
WITHOUT = "fewer questions in other words than the text's are answered without it"
OFF = "TEAL_CROSS_ENCODER=none teal up"


class CrossEncoderPart(Part):
    """Optional; fetched once, verified, then only read."""

    name = "cross-encoder"
    ends_by_itself = True

    def programs(self, place: PartContext) -> tuple[Program, ...]:
        home = str(place.layout.home)
        argv = (sys.executable, "-m", "teal.laptop.cross_encoder", home)
        return (Program(self.name, argv, shell_env(place.environ, VARIABLES), home, once=True),)

    def needed(self, place: PartContext) -> bool:
        return cross_encoder.is_wanted(place.environ) and cross_encoder.problem(place.layout) is not None

    def before_start(self, place: PartContext) -> Iterator[Event]:
        problem = cross_encoder.problem(place.layout)
        yield Event(self.name, "start", f"fetching {CROSS_ENCODER.name} ({CROSS_ENCODER.bytes / 1e6:.0f} MB): it {problem}")

    def started(self, place: PartContext, runs: Callable[[], bool]) -> Iterator[Event]:
        if not cross_encoder.is_wanted(place.environ):
            return
        deadline = time.monotonic() + WAIT_SECONDS
        while runs():
            if time.monotonic() > deadline:
                yield Event(self.name, "ok", f"{CROSS_ENCODER.name} is still being fetched; it is used once it is here")
                return
            time.sleep(STEP_SECONDS)
        if cross_encoder.problem(place.layout) is None:
            yield Event(self.name, "ok", f"{CROSS_ENCODER.name} is here, verified")
            return
        reason = cross_encoder.last_failure(place.layout) or "the fetch ended early (`teal logs cross-encoder`)"
        said = f"{CROSS_ENCODER.name} could not be fetched: {reason}. It is optional: {WITHOUT}; `teal up` tries again"
        yield Event(self.name, "warn", said)

    def status(self, place: PartContext, known: Collection[str]) -> list[CheckRow]:
        return [_row(place, missing_is_a_fault=False)]

    def doctor(self, place: PartContext) -> list[CheckRow]:
        return [_row(place, missing_is_a_fault=True)]


def _row(place: PartContext, *, missing_is_a_fault: bool) -> CheckRow:
    """Whether it is here. Its absence is a fault for `teal doctor`, but not for `teal status`, because the part is optional."""
    name = CrossEncoderPart.name
    if not cross_encoder.is_wanted(place.environ):
        return CheckRow(name, True, "not used with these settings")
    problem = cross_encoder.problem(place.layout)
    if problem is None:
        return CheckRow(name, True, f"{CROSS_ENCODER.name} is here, verified")
    reason = cross_encoder.last_failure(place.layout)
    said = f"{CROSS_ENCODER.name} {problem}{f' ({reason})' if reason else ''}: {WITHOUT}"
    if problem == fetch.MISSING and not missing_is_a_fault:
        return CheckRow(name, True, f"{said}; `teal up` fetches it")
    return CheckRow(name, False, said, f"teal up; without it: {OFF}")
