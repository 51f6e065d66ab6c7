"""The type of a release's step: one object with its description, its action and its undo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from teal.events import Event
from teal.ports.target import ReleaseRules
from teal.record.model import Color
from teal.record.releases import PlannedStep
from teal.release.context import ReleaseRun


@dataclass(frozen=True, slots=True)
class Intent:
    """The intention of a release: bring a version to the color `target`, in place of `active` (None: the first release)."""

    target: Color
    active: Color | None
    rules: ReleaseRules
    reindex: bool


def undo_nothing(run: ReleaseRun) -> Iterator[Event]:
    """The undo of a step that changes nothing, or whose change another step's undo reverts."""
    yield from ()


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of step. `do` and `undo` may be repeated after an interruption at any point.

    `says` and `takes_back` are templates, shown before anything is done, with the fields {target}, {active} (the color that
    serves now), {before} (the same color, as the one a rollback returns to), {back} (what returning the traffic means),
    {percent}, {shape} and those of {rules}. From a step that is not `reversible` on, a rollback is refused. When a step with
    `leaves_on_failure` fails, the new color has already proven itself: the release stays there for `teal resume` and is not
    undone. `formerly`: the step's names in plans that older versions of Teal wrote.
    """

    name: str
    says: str
    do: Callable[[ReleaseRun, PlannedStep], Iterator[Event]]
    takes_back: str = "nothing was changed"
    undo: Callable[[ReleaseRun], Iterator[Event]] = undo_nothing
    reversible: bool = True
    leaves_on_failure: bool = False
    formerly: tuple[str, ...] = ()

    def planned(self, intent: Intent, percent: int | None = None, shape: str | None = None) -> PlannedStep:
        """The step as a plan keeps it."""
        words = {
            "target": intent.target,
            "active": intent.active or "a first release",
            "before": intent.active or "no color",
            "percent": percent,
            "shape": shape,
            "back": f"all requests to {intent.active}" if intent.active else "nobody was served before",
            "rules": intent.rules,
        }
        return PlannedStep(
            action=self.name, says=self.says.format(**words), undo=self.takes_back.format(**words), percent=percent, shape=shape
        )
