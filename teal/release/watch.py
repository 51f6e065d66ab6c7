"""Watches two colors while they share the traffic: counts, gates, probes when users send too few, and the pause when nobody can say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from teal.errors import NeedsHuman, OperatorError
from teal.metrics.port import Counts
from teal.record import Color, Record
from teal.release import probe
from teal.release.analysis import Judgement, judge, overall
from teal.release.plan import Step
from teal.release.run import Run, shares
from teal.stack.events import Event

_MISSES: Final = 3  # looks at which processes were missing, new, or not counted: one may be a restart by the platform


class GateFailed(OperatorError):
    """The new color serves users worse."""

    code = "gate-failed"


class Undecided(NeedsHuman):
    """Too few samples to judge, and nobody decided in time."""

    code = "undecided"


class Window:
    """Counts of both colors since it was opened."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._start = {color: self._read(color) for color in self._colors()}
        self._requests = 0  # of the new color at the last look; fewer at the next one: a process began anew
        self.now: dict[Color, Counts] = {color: Counts() for color in self._colors()}
        self.misses = 0
        self.missed = False  # at the last look
        self.why = ""

    def look(self, *, steady: bool = True) -> None:
        """Read all counters; what can not be read stays as it was and is a miss.

        `steady`: nothing is scaled down now, so counts that go back are a process that began anew: a miss too, however fast it was.
        """
        missed = False
        for color in self._colors():
            found = self._read(color)
            if found is None:
                missed = missed or color == self._run.new
                continue
            start = self._start[color]
            if start is None:
                self._start[color] = found
            else:
                self.now[color] = found.since(start)
            if color == self._run.new:
                if steady and found.requests < self._requests:
                    missed, self.why = True, "its counts went back: a process began anew"
                self._requests = found.requests
        try:
            ready = self._run.target.runtime.readiness(self._run.new)
        except OperatorError as error:
            missed, self.why = True, error.what
        else:
            if not ready.complete:
                missed, self.why = True, f"{ready.ready} of {ready.wanted} processes are ready {ready.reason}".strip()
        self.missed = missed
        self.misses += missed

    def _colors(self) -> tuple[Color, ...]:
        return (self._run.new,) if self._run.old is None else (self._run.new, self._run.old)

    def _read(self, color: Color) -> Counts | None:
        try:
            return self._run.target.metrics.read(color)
        except OperatorError as error:
            self.why = error.what
            return None


def analyse(run: Run, step: Step) -> Iterator[Event]:
    """Compare for `analysis_seconds`; Failed ends it at once, Inconclusive pauses. Raises GateFailed, Undecided."""
    old = run.old or run.new  # a first release has no analysis in its plan
    window, rules, clock = Window(run), run.target.rules, run.target.clock
    started = clock.monotonic()
    while True:
        run.wait()
        window.look()
        elapsed = clock.monotonic() - started
        active = window.now[old]
        judged = judge(window.now[run.new], active, minimum=rules.minimum_samples, last_look=elapsed >= rules.analysis_seconds)
        yield _told(run, step.name, window, judged, elapsed, rules.analysis_seconds)
        _stop_if_bad(window, judged)
        if active.requests >= rules.minimum_samples:
            run.reference = active
        verdict = overall(judged)
        if elapsed >= rules.analysis_seconds and not window.missed:  # a color that is not whole now is looked at again
            if verdict == "Successful":
                return
            yield from _pause(run, step, window, judged)
            return
        _supplement(run, window, min(1.0, elapsed / rules.analysis_seconds))


def hold(run: Run, step: Step) -> Iterator[Event]:
    """Watch the new color alone for the rollback window, against what the old one did before. Only Failed ends it. Raises GateFailed."""
    window, rules, clock = Window(run), run.target.rules, run.target.clock
    started = clock.monotonic()
    while (elapsed := clock.monotonic() - started) < rules.hold_seconds or window.missed:
        run.wait()
        window.look(steady=False)  # for so long an autoscaler may take processes away
        elapsed = clock.monotonic() - started
        judged = judge(window.now[run.new], run.reference, minimum=rules.minimum_samples, last_look=elapsed >= rules.hold_seconds)
        yield _told(run, step.name, window, judged, elapsed, rules.hold_seconds)
        _stop_if_bad(window, judged)


def _pause(run: Run, step: Step, window: Window, judged: tuple[Judgement, ...]) -> Iterator[Event]:
    """Keep the shares, wait for samples or for a person. `teal resume` writes Progressing; a rollback moves the generation."""
    rules, clock = run.target.rules, run.target.clock
    started = clock.monotonic()
    run.ledger.change(lambda record: phase(record, "Paused"))
    thin = "; ".join(f"{one.gate}: {one.reason}" for one in judged if one.verdict == "Inconclusive")
    yield Event(step.name, "warn", f"paused, inconclusive: {thin}. `teal resume` goes on, `teal abort` undoes; "
                f"undone by itself after {rules.paused_seconds:.0f} s", data={"phase": "Paused", "exit_code": 4})  # fmt: skip
    while clock.monotonic() - started < rules.paused_seconds:
        run.wait()
        record = run.ledger.check()
        if record.release is not None and record.release.phase == "Progressing":
            yield Event(step.name, "ok", "a person decided to go on", data={"phase": "Progressing"})
            return
        window.look()
        judged = judge(window.now[run.new], window.now[run.old or run.new], minimum=rules.minimum_samples, last_look=True)
        yield _told(run, step.name, window, judged, clock.monotonic() - started, rules.paused_seconds)
        _stop_if_bad(window, judged)
        if overall(judged) == "Successful":
            run.ledger.change(lambda record: phase(record, "Progressing"))
            return
        _supplement(run, window, 1.0)
    raise Undecided(f"Nobody decided within {rules.paused_seconds:.0f} s about: {thin}", where=step.name, next="teal history")


def phase(record: Record, name: str) -> Record:
    """The record with its release in that phase."""
    if record.release is None:
        return record
    return record.model_copy(update={"release": record.release.model_copy(update={"phase": name})})


def _stop_if_bad(window: Window, judged: tuple[Judgement, ...]) -> None:
    failed = [one for one in judged if one.verdict == "Failed"]
    if failed:
        raise GateFailed("; ".join(f"{one.gate}: {one.reason}" for one in failed), where="analysis", next="teal history")
    if window.misses >= _MISSES:
        raise GateFailed(f"The new color does not stay up: {window.why}", where="analysis", next="teal logs app")


def _supplement(run: Run, window: Window, progress: float) -> None:
    """Send probes to a color that lags behind the minimum of samples at this point of the window: of every kind, or of streams alone."""
    rules = run.target.rules
    due = rules.minimum_samples * max(progress, 0.1)
    ahead = due * 1.5  # of need: the last polls may be lost
    streamed = any(counts.streams >= due for counts in window.now.values())  # the gate will not be absent
    for color, counts in window.now.items():
        thin = counts.requests < ahead
        if thin or (streamed and counts.streams < ahead):
            with run.prober(color) as prober:
                prober.sample(probe.golden(run.target.golden), rules.probes_per_poll, run.asked, streams_only=not thin)
    run.asked += rules.probes_per_poll


def _told(run: Run, name: str, window: Window, judged: tuple[Judgement, ...], elapsed: float, total: float) -> Event:
    try:
        seen = shares(run.target.traffic.read())
    except OperatorError:  # it is only shown here; whoever changes shares reads them back
        seen = {}
    data = {
        **seen,
        "counts": {color: asdict(counts) for color, counts in window.now.items()},
        "gates": [asdict(one) for one in judged],
        "verdict": overall(judged),
        "seconds": round(elapsed, 1),
    }
    return Event(name, "progress", overall(judged), done=min(int(elapsed), int(total)), total=int(total), data=data)
