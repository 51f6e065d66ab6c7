"""The canary analysis: compares two colors while they share the traffic, sends probes when users send too few requests to judge,
and pauses when the gates are inconclusive or when a person asked for a pause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import Final

from teal.client import probe
from teal.errors import NeedsHuman, OperatorError
from teal.events import Event
from teal.metrics.gates import REQUESTS, STREAMS
from teal.ports.metrics import Counts
from teal.record.model import Color, Record
from teal.record.releases import PlannedStep
from teal.release.analysis import Analysis, Judgement, overall
from teal.release.context import ReleaseRun, shares_json

_MISSES: Final = 3  # looks with missing, new or uncounted processes before a release fails: one may be a restart by the platform


class GateFailed(OperatorError):
    """The new color serves users worse."""

    code = "gate-failed"


class Undecided(NeedsHuman):
    """Too few samples to judge, and nobody decided in time."""

    code = "undecided"


class CanaryWindow:
    """Counts of both colors since it was opened."""

    def __init__(self, run: ReleaseRun) -> None:
        self._run = run
        self._start = {color: self._read(color) for color in self._colors()}
        self._requests = 0  # of the new color at the last look; fewer at the next look mean that a process restarted
        self.now: dict[Color, Counts] = {color: Counts() for color in self._colors()}
        self.misses = 0
        self.missed = False  # at the last look
        self.why = ""
        self.unread: dict[Color, str] = {}  # why a color's counts could not be read at the last look

    def look(self, *, steady: bool = True) -> None:
        """Read all counters. Counts that cannot be read stay as they were; for the new color this is a miss.

        `steady`: nothing is being scaled down, so counts that went back mean that a process restarted, which is a miss too.
        """
        missed = False
        for color in self._colors():
            found = self._read(color)
            if found is None:
                self.unread[color] = self.why
                missed = missed or color == self._run.new
                continue
            self.unread.pop(color, None)
            start = self._start[color]
            if start is None:
                self._start[color] = found
            else:
                self.now[color] = found.since(start)
            if color == self._run.new:
                if steady and found.get(REQUESTS.name, 0) < self._requests:
                    missed, self.why = True, "its counts went back: a process began anew"
                self._requests = found.get(REQUESTS.name, 0)
        try:
            ready = self._run.target.runtime.readiness(self._run.new)
        except OperatorError as error:
            missed, self.why = True, error.what
        else:
            if not ready.complete:
                missed, self.why = True, f"{ready.ready} of {ready.wanted} processes are ready {ready.reason}".strip()
        self.missed = missed
        self.misses += missed

    def begun(self, color: Color) -> Counts | None:
        """A color's counts before this window; None when they could not be read."""
        return self._start.get(color)

    def _colors(self) -> tuple[Color, ...]:
        return (self._run.new,) if self._run.old is None else (self._run.new, self._run.old)

    def _read(self, color: Color) -> Counts | None:
        try:
            return self._run.target.metrics.read(color)
        except OperatorError as error:
            self.why = error.what
            return None


def compare_with_active(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    """Compare for `analysis_seconds`; Failed ends it at once, Inconclusive pauses. Raises GateFailed, Undecided."""
    old = run.old or run.new  # a first release has no analysis in its plan
    window, rules, clock = CanaryWindow(run), run.target.rules, run.target.clock
    analysis = _analysis(run, window)
    analysis.begin_step()
    started = clock.monotonic()
    while True:
        run.wait()
        run.lease.during(window.look)  # keeps the lease: a hanging process may delay the read for seconds
        elapsed = clock.monotonic() - started
        judged = analysis.look(window.now[run.new], window.now[old])
        yield _told(run, step.name, window, judged, elapsed, rules.analysis_seconds)
        _stop_if_bad(window, judged)
        verdict = overall(judged)
        if elapsed >= rules.analysis_seconds and not window.missed:  # if the last look was a miss, look again
            if verdict == "Successful":
                return
            yield from _pause(run, step, window, judged)
            return
        run.lease.during(partial(_supplement, run, window, min(1.0, elapsed / rules.analysis_seconds)))


def hold(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    """Watch the new color during the rollback window, compared with the old one's earlier counts. Raises GateFailed."""
    window, rules, clock = CanaryWindow(run), run.target.rules, run.target.clock
    analysis = _analysis(run, window)
    analysis.begin_step()
    started = clock.monotonic()
    while (elapsed := clock.monotonic() - started) < rules.hold_seconds or window.missed:
        run.wait()
        run.lease.during(partial(window.look, steady=False))  # the window is long enough for an autoscaler to remove processes
        elapsed = clock.monotonic() - started
        judged = analysis.look(window.now[run.new], window.now[run.old] if run.old else None)
        yield _told(run, step.name, window, judged, elapsed, rules.hold_seconds)
        _stop_if_bad(window, judged)


def _analysis(run: ReleaseRun, window: CanaryWindow) -> Analysis:
    """The release's one analysis: made at its first step, or anew by a releaser that resumes."""
    if run.analysis is None:
        steps = sum(1 for planned in run.plan.steps if planned.action in ("analyse", "pause", "hold"))
        run.analysis = Analysis(
            steps=steps, minimum=run.target.rules.minimum_samples, history=window.begun(run.old) if run.old else None
        )
    return run.analysis


def _pause(run: ReleaseRun, step: PlannedStep, window: CanaryWindow, judged: tuple[Judgement, ...]) -> Iterator[Event]:
    """Keep the shares, and wait for samples or for a person."""
    unread = [f"the counts of {color} cannot be read: {why}" for color, why in window.unread.items()]
    undecided = [f"{one.gate}: {one.reason}" for one in judged if one.verdict == "Inconclusive"]
    thin = "; ".join(unread or undecided or ["no gate has a metric that both versions write"])
    yield from _wait(run, step, window, f"paused, inconclusive: {thin}", {"exit_code": 4}, about=thin, until_successful=True)


def wait_for_person(run: ReleaseRun, step: PlannedStep, said: str, *, about: str) -> Iterator[Event]:
    """Keep the shares until a person decides, while the gates are still judged. Raises Undecided, GateFailed."""
    window = CanaryWindow(run)
    _analysis(run, window).begin_step()
    yield from _wait(run, step, window, said, {}, about=about, until_successful=False)


def _wait(
    run: ReleaseRun,
    step: PlannedStep,
    window: CanaryWindow,
    said: str,
    more: Mapping[str, int],
    *,
    about: str,
    until_successful: bool,
) -> Iterator[Event]:
    """Wait for a decision: `teal resume` sets the phase Progressing, a rollback changes the generation (Superseded). Raises
    Undecided without a decision in time, and GateFailed when a gate fails."""
    rules, clock, analysis = run.target.rules, run.target.clock, _analysis(run, window)
    started = clock.monotonic()
    run.lease.change(lambda record: phase(record, "Paused"))
    choices = f"`teal resume` goes on, `teal abort` undoes; undone by itself after {rules.paused_seconds:.0f} s"
    yield Event(step.name, "warn", f"{said}. {choices}", data={"phase": "Paused", **more})
    while clock.monotonic() - started < rules.paused_seconds:
        run.wait()
        record = run.lease.check()
        if record.release is not None and record.release.phase == "Progressing":
            yield Event(step.name, "ok", "a person decided to go on", data={"phase": "Progressing"})
            return
        run.lease.during(window.look)
        judged = analysis.look(window.now[run.new], window.now[run.old or run.new])
        yield _told(run, step.name, window, judged, clock.monotonic() - started, rules.paused_seconds)
        _stop_if_bad(window, judged)
        if until_successful and overall(judged) == "Successful":
            run.lease.change(lambda record: phase(record, "Progressing"))
            return
        run.lease.during(partial(_supplement, run, window, 1.0))
    raise Undecided(f"Nobody decided within {rules.paused_seconds:.0f} s about: {about}", where=step.name, next="teal history")


def phase(record: Record, name: str) -> Record:
    """The record with its release in that phase."""
    if record.release is None:
        return record
    return record.model_copy(update={"release": record.release.model_copy(update={"phase": name})})


def _stop_if_bad(window: CanaryWindow, judged: tuple[Judgement, ...]) -> None:
    failed = [one for one in judged if one.verdict == "Failed"]
    if failed:
        raise GateFailed("; ".join(f"{one.gate}: {one.reason}" for one in failed), where="analysis", next="teal history")
    if window.misses >= _MISSES:
        raise GateFailed(f"The new color does not stay up: {window.why}", where="analysis", next="teal logs app")


def _supplement(run: ReleaseRun, window: CanaryWindow, progress: float) -> None:
    """Send probes to a color that has fewer samples than are due at this point of the window:
    of every kind, or of streams alone."""
    rules = run.target.rules
    due = rules.minimum_samples * max(progress, 0.1)
    ahead = due * 1.5  # more than is due now: the last polls may be lost
    streamed = any(counts.get(STREAMS.name, 0) >= due for counts in window.now.values())  # the gate will not be absent
    thin = {color: counts.get(REQUESTS.name, 0) < ahead for color, counts in window.now.items()}
    lagging = [color for color, counts in window.now.items() if thin[color] or (streamed and counts.get(STREAMS.name, 0) < ahead)]
    questions = probe.read_golden_questions(run.target.golden)
    with ExitStack() as opened:
        probers = [(opened.enter_context(run.prober(color)), not thin[color]) for color in lagging]
        # Alternating between the colors, so that a short disturbance of the machine affects both;
        # else equal versions look different.
        for number in range(run.asked, run.asked + rules.probes_per_poll):
            for prober, streams_only in probers:
                prober.sample(questions, 1, number, streams_only=streams_only)
    run.asked += rules.probes_per_poll


def _told(run: ReleaseRun, name: str, window: CanaryWindow, judged: tuple[Judgement, ...], elapsed: float, total: float) -> Event:
    try:
        seen = shares_json(run.target.traffic.read())
    except OperatorError:  # only for display; every change of shares reads them back
        seen = {}
    data = {
        **seen,
        "counts": {color: dict(counts) for color, counts in window.now.items()},
        "gates": [asdict(one) for one in judged],
        "verdict": overall(judged),
        "seconds": round(elapsed, 1),
    }
    return Event(name, "progress", overall(judged), done=min(int(elapsed), int(total)), total=int(total), data=data)
