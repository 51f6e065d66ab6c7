"""What a release will do, as data. Pure: the record and the rules in, steps out; `--dry-run` prints them, `resume` reads them again."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from teal.record import Color, ColorState, Record
from teal.release.target import Rules

Action = Literal["preflight", "expand-schema", "build-index", "verify-index", "raise-floor", "deploy", "ready", "warm", "golden",
                 "load", "shift", "analyse", "promote", "hold", "re-home", "retire", "drop-index"]  # fmt: skip
POINT_OF_NO_RETURN: Final = "retire"  # from this step on the old color is going: a release can only be finished


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(_Frozen):
    """One step: what it does and what takes it back, in words. `percent`: the target's share while it runs, for shift and analyse."""

    action: Action
    says: str
    undo: str
    percent: int | None = None
    shape: str | None = None  # of load

    @property
    def name(self) -> str:
        return self.action if self.percent is None else f"{self.action}-{self.percent}"


class Document(_Frozen):
    """`releases/<id>.json`: what was decided when the release began. Immutable; how it ended is `releases/<id>.outcome.json`."""

    id: str
    target: Color
    previous: Color | None
    state: ColorState  # as planned; the floor is raised in the record
    replaces: ColorState | None
    reindex: bool
    steps: tuple[Step, ...]
    who: str
    started_at: datetime

    def position(self, name: str) -> int:
        """Where the step is; 0 for a name of another version of Teal: everything again does no harm."""
        return next((number for number, step in enumerate(self.steps) if step.name == name), 0)

    def is_late(self, name: str) -> bool:
        """Whether the step comes at or after the point of no return."""
        return any(step.action == POINT_OF_NO_RETURN for step in self.steps[: self.position(name) + 1])


class Outcome(_Frozen):
    """How a release ended. `phase` Healthy: it is the active color. Degraded: undone."""

    id: str
    phase: Literal["Healthy", "Degraded"]
    reason: str
    who: str
    ended_at: datetime
    evidence: str = ""


def other(color: Color) -> Color:
    return "green" if color == "blue" else "blue"


def idle(record: Record) -> Color:
    """The color that a release will be made in."""
    return other(record.active) if record.active else "blue"


def steps(record: Record, rules: Rules, *, reindex: bool) -> tuple[Step, ...]:
    """The steps of a release into the idle color, in order."""
    target, active = idle(record), record.active
    found = [
        Step(action="preflight", says="check the record, the shares, the active color, and that the idle one is empty", undo="nothing was changed"),
        Step(action="expand-schema", says="run the migrations marked expand, and compare what the image can serve",
             undo="kept: images of before serve an expanded schema"),
    ]  # fmt: skip
    if reindex:
        found += [
            Step(action="build-index", says="build a new search index from the catalog, beside the old one; both are kept up from here on", undo="it is removed"),
            Step(action="verify-index", says="compare it with the catalog, and sample queries with the old one", undo="nothing was changed"),
        ]  # fmt: skip
    found += [
        Step(action="raise-floor", says=f"minimum replicas of {target} = what {active or 'a first release'} runs now", undo="with the color"),
        Step(action="deploy", says=f"processes and worker of {target}", undo=f"re-home the jobs of {target}, then retire it"),
        Step(action="ready", says=f"every process of {target} answers /readyz", undo="nothing was changed"),
        Step(action="warm", says=f"ask {target} the usual questions, so that its caches are not empty", undo="its cache keys carry its release"),
        Step(action="golden", says=f"golden questions, caches apart, and a probe document through {target}", undo="the probe document is deleted"),
    ]  # fmt: skip
    if rules.load:
        says = f"load {rules.load} on {target} by its own way in, judged by loadtests/thresholds.yaml"
        found.append(Step(action="load", says=says, undo="nothing was changed", shape=rules.load))
    back = f"all traffic to {active}" if active else "nobody was served before"
    for percent in rules.steps if active else (100,):
        found.append(Step(action="shift", says=f"{percent} % of the requests to {target}", undo=back, percent=percent))
        if active and percent < 100:
            says = f"{rules.analysis_seconds:.0f} s of {percent} %: {target} against {active}, {rules.minimum_samples} samples of each gate"
            found.append(Step(action="analyse", says=says, undo=back, percent=percent))
    found.append(Step(action="promote", says=f"{target} is the active color", undo=f"{active or 'none'} is again"))
    if active:
        found += [
            Step(action="hold", says=f"keep {active} ready for {rules.hold_seconds:.0f} s and go on watching", undo=back),
            Step(
                action="re-home", says=f"jobs of {active} to {target}, until none is left", undo=f"jobs of {target} to {active}"
            ),
            Step(action="retire", says=f"end {active}", undo="none: release its image again"),
        ]
        if reindex:
            found.append(
                Step(
                    action="drop-index",
                    says=f"remove the index that only {active} read",
                    undo="none: an index is built from the catalog",
                )
            )
    return tuple(found)
