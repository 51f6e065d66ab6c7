"""What a step of a release is: one object that says what it does, does it, and takes it back."""

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
    """What a release is about to do: bring a version to `target`, in place of `active` (None: the first release)."""

    target: Color
    active: Color | None
    rules: ReleaseRules
    reindex: bool


def undo_nothing(run: ReleaseRun) -> Iterator[Event]:
    """The undo of a step that changes nothing, or whose change ends with another step's undo."""
    yield from ()


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of step. `do` and `undo` may be run again after they were interrupted anywhere.

    `says` and `takes_back` are shown before anything is done; in them these are filled in: {target}, {active}
    (the color that serves now), {before} (the same, for who goes back to it), {back} (what giving the traffic back means), {percent},
    {shape} and the fields of {rules}. From a step that is not `reversible` on, nobody can go back to the old color: a
    rollback is refused. When a step fails that `leaves_on_failure`, the new color has proven itself already: the release stays where it
    is for `teal resume` and is not undone. `formerly`: its names in plans that older versions of Teal wrote.
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
