"""How much load and when, as tables. Locust walks through them; `python -m loadtests shapes` prints them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

Kind = Literal["users", "arrivals"]
SETTLE_SECONDS: Final = 5.0  # of a stage, not judged: users spawn within a second, and workers report every 3 s


@dataclass(frozen=True, slots=True)
class Stage:
    """`level` users, or requests a second, for `seconds`; `ramp`: reached evenly from the level before."""

    seconds: float
    level: int
    ramp: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """`users` think between their requests and wait for their answers (closed loop); `arrivals` come at their time (open loop)."""

    name: str
    kind: Kind
    says: str
    stages: tuple[Stage, ...]

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)

    @property
    def peak(self) -> int:
        return max(stage.level for stage in self.stages)

    def level(self, at_seconds: float) -> tuple[int, int] | None:
        """(number of the stage, its level) at a time since the start; None when the shape is over."""
        begin, before = 0.0, 0
        for number, stage in enumerate(self.stages):
            if at_seconds < begin + stage.seconds:
                share = (at_seconds - begin) / stage.seconds if stage.ramp else 1.0
                return number, max(1, round(before + share * (stage.level - before)))
            begin, before = begin + stage.seconds, stage.level
        return None

    def scaled(self, level: float = 1.0, seconds: float | None = None) -> Shape:
        """The same form with `level` times the load, and `seconds` long in all."""
        stretch = seconds / self.seconds if seconds else 1.0
        stages = (
            replace(stage, level=max(1, round(stage.level * level)), seconds=stage.seconds * stretch) for stage in self.stages
        )
        return replace(self, stages=tuple(stages))


SHAPES: Final = {
    shape.name: shape
    for shape in (
        Shape("smoke", "users", "does it work at all under a little of everything", (Stage(10, 40, ramp=True), Stage(35, 40))),
        Shape("ramp", "users", "where users begin to feel each other", (Stage(300, 200, ramp=True), Stage(60, 200))),
        # Each stage is half as much again: close enough to find the knee within 50 %, few enough to end in five minutes.
        Shape("step", "arrivals", "what one replica carries; `teal capacity` reads it",
              tuple(Stage(30, level) for level in (10, 15, 22, 33, 50, 75, 112, 168))),
        Shape("spike", "arrivals", "five times as much at once, and whether it recovers", (Stage(60, 10), Stage(30, 50), Stage(60, 10))),
        Shape("soak", "users", "an hour, for what leaks and fills", (Stage(3600, 60),)),
        Shape("release", "arrivals", "steady requests beside a release", (Stage(600, 20),)),
    )
}  # fmt: skip
