"""Makes Locust run a shape: the classes of its users, the level at each moment, and the wait for the last answers."""

from __future__ import annotations

from typing import Any, Final

import gevent
from locust import LoadTestShape
from locust.env import Environment
from locust.runners import WORKER_REPORT_INTERVAL, MasterRunner

from loadtests import options
from loadtests.reproducers import CacheBuster, HotKey, Leaver, LongConversation, SlowReader, UploadStorm
from loadtests.shapes import CHANGE_SECONDS, MIX, NONE, Shape
from loadtests.timetable import Timetable
from loadtests.users import ARRIVING, ARRIVING_SENDS, Asker, Conversation, HealthProbe, Searcher, Source, Uploader

REPORT_SECONDS: Final = 2 * WORKER_REPORT_INTERVAL  # one report may be under way, and requests that end meanwhile are in the next
STOP_SECONDS: Final = 15.0  # how long users may finish an answer when the run is over, unless --stop-timeout is given
LONGEST_END_SECONDS: Final = 2 * STOP_SECONDS
EVERYBODY: Final = {user.__name__: user for user in (Searcher, Asker, Conversation, Uploader, HealthProbe, Leaver, LongConversation, UploadStorm,
                                                     HotKey, CacheBuster, SlowReader, Source)}  # fmt: skip
WEIGHTS: Final = {name: user.weight for name, user in EVERYBODY.items()}


class Table(LoadTestShape):
    """Runs the chosen shape; then has no users until the last answers have arrived."""

    use_common_options = True  # --users, --spawn-rate and --run-time are read by shape `none`

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ending_at: float | None = None
        self.timetable: Timetable | None = None  # of the run that is recorded (loadtests/locustfile.py)

    def reset_time(self) -> None:
        super().reset_time()  # type: ignore[no-untyped-call]
        self.ending_at = None

    def tick(self) -> tuple[int, float, list[Any]] | None:
        if self.runner is None:
            return None
        environment = self.runner.environment
        timetable = self.timetable or Timetable(options.chosen_shape(environment))
        shape = timetable.shape
        now = self.get_run_time()  # type: ignore[no-untyped-call]
        end = timetable.next_end(now)
        if self.ending_at is None and end is not None and end - now < CHANGE_SECONDS:
            # Locust looks once a second, and a spike of three seconds would last up to a third too long.
            while (now := self.get_run_time()) < end:  # type: ignore[no-untyped-call]
                gevent.sleep(end - now)  # a timer may end some milliseconds too soon
        classes = classes_of(environment, shape)
        found = timetable.level(now)
        if found is not None and self.ending_at is None:
            if shape.name == NONE:
                return found, float(environment.parsed_options.spawn_rate or 1), classes  # type: ignore[union-attr]
            if found == 0:
                return 0, float(shape.peak), classes  # the service drains
            level = found + sum(user.fixed_count for user in classes)
            # All users come, or leave, within a second, so that a stage has its level from the start.
            return level, float(max(level, self._level_before(timetable, now))), classes
        # Locust's own end of a shape does not wait for the workers' last reports.
        # A run that was told to end is ended by the code that told it.
        wait = REPORT_SECONDS if isinstance(self.runner, MasterRunner) else 0.0
        waits = now < timetable.ends_at + wait or (self.runner.user_count and now < timetable.ends_at + LONGEST_END_SECONDS)
        return (0, float(shape.peak), classes) if waits or self.ending_at is not None else None

    def _level_before(self, timetable: Timetable, now: float) -> int:
        """The level of the stage before this one, also of the repetition before; 0 in the first."""
        repetition, stage = timetable.where(now)
        stages = timetable.shape.stages
        return stages[(stage or 0) - 1].level if stage or repetition else 0


def classes_of(environment: Environment, shape: Shape) -> list[Any]:
    """The classes of the shape's users: those of its mix,
    limited to the ones named on the command line or selected on the page."""
    if shape.kind == "arrivals":
        return [Source]
    mix = dict(shape.mix) or MIX
    picked = [user.__name__ for user in environment.user_classes]
    named = [name for name in picked if name in mix] if len(picked) < len(EVERYBODY) else list(mix)
    names = [name for name in named or picked if has_tasks(EVERYBODY[name], environment.parsed_options)]
    for name in names:
        EVERYBODY[name].weight = int(1000 * mix[name]) if mix.get(name) else WEIGHTS[name]  # Locust's weights are whole numbers
    return [EVERYBODY[name] for name in names]


def sends_of(environment: Environment, shape: Shape) -> list[str]:
    """The names of the requests that the shape's users may send. A threshold of another name is not judged."""
    if shape.kind == "users":
        return [name for user in classes_of(environment, shape) for name in user.sends]
    return [name for kind in dict(shape.mix) or ARRIVING for name in ARRIVING_SENDS[kind]]


def has_tasks(user: Any, given: Any) -> bool:
    """Whether the class has a task left after --tags and --exclude-tags.
    Locust would start users without a task, which then raise."""
    kept = [set(getattr(one, "locust_tag_set", ())) for one in user.tasks]
    return any((not given.tags or tags & set(given.tags)) and not tags & set(given.exclude_tags or ()) for tags in kept)


def why_nobody_sends(environment: Environment, shape: Shape) -> str:
    """Why the chosen classes and tags leave no user for a shape; empty when they leave some."""
    picked = {user.__name__ for user in environment.user_classes}
    if shape.kind == "arrivals" and Source.__name__ not in picked:
        return f"{shape.name} sends requests at their time and has no users of a class: leave {', '.join(sorted(picked))} away, or take shape {NONE}"
    if not any(has_tasks(user, environment.parsed_options) for user in classes_of(environment, shape)):
        return f"No task of {shape.name} has these tags"
    return ""
