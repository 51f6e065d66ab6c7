"""Load shapes as tables: how much load at which time.
Locust runs them; `python -m loadtests shapes` prints them, `--load-shapes FILE` adds yours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Kind = Literal["users", "arrivals"]
Arrivals = Literal["constant", "poisson"]
SETTLE_SECONDS: Final = 5.0  # at the start of a stage, not judged: users spawn within a second, and workers report every 3 s
CHANGE_SECONDS: Final = 1.0  # between two looks of Locust at a shape: a shorter stage would be left out, or last too long
UNITS: Final[Mapping[str, str]] = {"users": "users", "arrivals": "requests a second"}  # of a level
NONE: Final = "none"  # Locust's own -u, -r and -t
# Weights of the classes of users; of the last two there is one user each.
MIX: Final = {"Searcher": 6.0, "Asker": 3.0, "Conversation": 1.0, "Uploader": 0.0, "HealthProbe": 0.0}
# What a mix may name: classes of users (loadtests/table.py), or kinds of requests that arrive.
MIXED: Final[Mapping[Kind, tuple[str, ...]]] = {
    "users": (*MIX, "Leaver", "LongConversation", "UploadStorm", "HotKey", "CacheBuster", "SlowReader"),
    "arrivals": ("search", "ask"),
}


@dataclass(frozen=True, slots=True)
class ShapeStage:
    """`level` users, or requests a second, for `seconds`; `ramp`: reached evenly from the level before."""

    seconds: float
    level: int
    ramp: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """`users` think between their requests and wait for their answers (closed loop); `arrivals` come at their time (open loop).

    `mix`: weights by class of users, or, for arrivals, of `search` and `ask`; empty: the default. `repeat`: passes through the stages.
    """

    name: str
    kind: Kind
    says: str
    stages: tuple[ShapeStage, ...]
    mix: Mapping[str, float] = field(default_factory=dict)
    arrivals: Arrivals = "constant"
    warm_up_seconds: float = 0.0
    repeat: int = 1
    # A search for the limit: each pass ends at the first stage that is broken, and the result is the last one that every pass kept.
    each_stage: bool = False

    @property
    def pass_seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)

    @property
    def seconds(self) -> float:
        """The whole duration: the warm-up and every pass. A search for the limit may end before, or wait between passes (loadtests/timetable.py)."""
        return self.warm_up_seconds + self.pass_seconds * self.repeat

    @property
    def peak(self) -> int:
        return max(stage.level for stage in self.stages)

    def stage_at(self, into_seconds: float) -> int:
        """The number of the stage at a time since the start of a pass."""
        for number, stage in enumerate(self.stages):
            if into_seconds < stage.seconds:
                return number
            into_seconds -= stage.seconds
        return len(self.stages) - 1  # by rounding

    def stage_end(self, into_seconds: float) -> float:
        """The end of the stage at a time since the start of a pass, in seconds since that start."""
        return sum(stage.seconds for stage in self.stages[: self.stage_at(into_seconds) + 1])

    def level_at(self, into_seconds: float) -> int:
        """The level at a time since the start of a pass."""
        number = self.stage_at(into_seconds)
        stage, before = self.stages[number], self.stages[number - 1].level if number else 0
        share = 1.0
        if stage.ramp:
            share = min(1.0, (into_seconds - sum(one.seconds for one in self.stages[:number])) / stage.seconds)
        return max(1, round(before + share * (stage.level - before)))

    def scaled(self, level: float = 1.0, seconds: float | None = None) -> Shape:
        """The same shape with `level` times the load, and each pass `seconds` long.
        Raises ValueError for values that are not above 0."""
        if level <= 0 or (seconds is not None and seconds <= 0):
            raise ValueError(f"{self.name}: the scale and the seconds must be above 0, and are {level:g} and {seconds or 0:g}")
        stretch = seconds / self.pass_seconds if seconds else 1.0
        stages = (
            replace(stage, level=max(1, round(stage.level * level)), seconds=stage.seconds * stretch) for stage in self.stages
        )
        return replace(self, stages=tuple(stages))

    def too_short(self) -> str:
        """The reason, if a stage ends before Locust can give it its load, or one of a search for the limit before it can be judged; else empty."""
        shortest = min(stage.seconds for stage in self.stages)
        steady = min((stage.seconds for stage in self.stages if not stage.ramp), default=shortest)
        if len(self.stages) > 1 and steady < CHANGE_SECONDS:
            enough = math.ceil(self.pass_seconds / steady * CHANGE_SECONDS - 1e-6)
            return f"{self.name} has a stage of {steady:g} s, and Locust changes the load once a second: give it --seconds {enough} or more"
        if shortest > SETTLE_SECONDS or not self.each_stage:
            return ""
        least = self.pass_seconds / shortest * (SETTLE_SECONDS + 1)
        return (
            f"{self.name} has a stage of {shortest:g} s, and each is judged without its first {SETTLE_SECONDS:g} s: "
            f"give it --seconds {least:.0f} or more"
        )


def _alone(name: str, user: str, says: str) -> Shape:
    """The shape of a reproducer: users of one class only."""
    return Shape(name, "users", says, (ShapeStage(10, 20, ramp=True), ShapeStage(50, 20)), {user: 1.0})


SHAPES: Final = {
    shape.name: shape
    for shape in (
        Shape("smoke", "users", "does it work at all under a little of everything", (ShapeStage(10, 40, ramp=True), ShapeStage(35, 40))),
        Shape("ramp", "users", "where users begin to feel each other", (ShapeStage(300, 200, ramp=True), ShapeStage(60, 200))),
        # Each stage has 1.5 times the load of the one before:
        # close enough to find the knee within 50 %, few enough to end in five minutes.
        Shape("step", "arrivals", "what one replica carries; `teal capacity` reads it",
              tuple(ShapeStage(30, level) for level in (10, 15, 22, 33, 50, 75, 112, 168)), each_stage=True),
        Shape("spike", "arrivals", "five times as much at once, and whether it recovers", (ShapeStage(60, 10), ShapeStage(30, 50), ShapeStage(60, 10))),
        Shape("soak", "users", "an hour, for what leaks and fills", (ShapeStage(3600, 60),)),
        Shape("release", "arrivals", "steady requests beside a release", (ShapeStage(600, 20),)),
        _alone("disconnects", "Leaver", "readers who go away in the middle of every stream"),
        _alone("long-conversation", "LongConversation", "conversations of many turns, at the longest question there may be"),
        _alone("upload-storm", "UploadStorm", "large documents, one after the other"),
        _alone("hot-key", "HotKey", "everybody asks the same question with the same key"),
        _alone("cache-busting", "CacheBuster", "no question was ever asked before"),
        _alone("slow-readers", "SlowReader", "readers who take each line of a stream slowly"),
    )
}  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _StageRow(_Strict):
    seconds: float = Field(gt=0)
    level: int = Field(ge=1)
    ramp: bool = False


class _ShapeRow(_Strict):
    kind: Kind
    says: str = ""
    stages: tuple[_StageRow, ...] = Field(min_length=1)
    mix: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    arrivals: Arrivals = "constant"
    warm_up_seconds: float = Field(default=0.0, ge=0)
    repeat: int = Field(default=1, ge=1)
    each_stage: bool = False

    @model_validator(mode="after")
    def _known_mix(self) -> Self:
        known = MIXED[self.kind]
        if wrong := [name for name in self.mix if name not in known]:
            raise ValueError(f"mix: there is no {', '.join(wrong)}; a shape of {self.kind} mixes {', '.join(known)}")
        return self


class _File(_Strict):
    shapes: dict[str, _ShapeRow] = Field(min_length=1)


def load_shapes(path: Path | None) -> dict[str, Shape]:
    """The built-in shapes and those of a YAML file. Raises ValueError, which names the field, for an invalid file."""
    if path is None:
        return SHAPES
    try:
        found = _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        said = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        raise ValueError(f"{path}: {'.'.join(str(part) for part in said['loc'])}: {said['msg']}") from error
    own = {
        name: Shape(
            name, row.kind, row.says, tuple(ShapeStage(one.seconds, one.level, one.ramp) for one in row.stages), row.mix, row.arrivals,
            row.warm_up_seconds, row.repeat, row.each_stage,
        )
        for name, row in found.shapes.items()
    }  # fmt: skip
    return {**SHAPES, **own}


def find_shape(name: str, path: Path | None = None) -> Shape:
    """The shape of this name. Raises ValueError, which lists the valid names."""
    known = load_shapes(path)
    if name not in known:
        raise ValueError(f"There is no shape {name!r}. There are: {', '.join([*known, NONE])}")
    return known[name]


def plain_shape(users: int, run_seconds: float | None) -> Shape:
    """The shape of Locust's own -u and -t: this many users until the time is over or the run is stopped."""
    return Shape(NONE, "users", "Locust's own -u, -r and -t", (ShapeStage(run_seconds or float(10**9), users),))
