"""Locust's file: who the users are, the shape they follow, and what is written down. Everything that Locust knows works with it:

    locust -f loadtests/locustfile.py --host URL --load-keys KEY -u 20 -r 5 -t 60s Searcher Asker
    locust -f loadtests/locustfile.py --host URL --load-keys KEY --load-shape smoke --headless

`python -m loadtests run` and `teal load` start Locust with it. Each run ends with the same files, in a folder of its own: result.json, index.html.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import gevent
from gevent import subprocess
from locust import LoadTestShape, events
from locust.env import Environment
from locust.event import EventHook
from locust.runners import WORKER_REPORT_INTERVAL, MasterRunner, WorkerRunner

from loadtests import generator, options, page
from loadtests.meter import METER
from loadtests.recorder import Recorder
from loadtests.reproducers import CacheBuster, HotKey, Leaver, LongConversation, SlowReader, UploadStorm
from loadtests.shapes import MIX, NONE, Shape
from loadtests.users import Asker, Conversation, HealthProbe, Searcher, Source, Uploader

REPORT_SECONDS: Final = 2 * WORKER_REPORT_INTERVAL  # one may be on its way, and what ends meanwhile is in the next
STOP_SECONDS: Final = 15.0  # for users in the middle of an answer when the run is over, unless --stop-timeout says otherwise
LONGEST_END_SECONDS: Final = 2 * STOP_SECONDS
# A process of its own: drawing plots would hold up the heartbeats of Locust's master.
REPORTER: Final = (sys.executable, "-m", "loadtests", "report")
EXIT_INTERRUPTED: Final = 130

# What Locust looks for.
__all__ = ["Asker", "CacheBuster", "Conversation", "HealthProbe", "HotKey", "Leaver", "LongConversation", "Searcher", "SlowReader", "Source",
           "Table", "UploadStorm", "Uploader"]  # fmt: skip
EVERYBODY: Final = {user.__name__: user for user in (Searcher, Asker, Conversation, Uploader, HealthProbe, Leaver, LongConversation, UploadStorm,
                                                     HotKey, CacheBuster, SlowReader, Source)}  # fmt: skip
WEIGHTS: Final = {name: user.weight for name, user in EVERYBODY.items()}

log = logging.getLogger(__name__)


class Table(LoadTestShape):
    """Walks through the chosen shape; then nobody, until the last answers are in."""

    use_common_options = True  # --users, --spawn-rate and --run-time are read by shape `none`

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ending_at: float | None = None

    def reset_time(self) -> None:
        super().reset_time()  # type: ignore[no-untyped-call]
        self.ending_at = None

    def tick(self) -> tuple[int, float, list[Any]] | None:
        if self.runner is None:
            return None
        environment = self.runner.environment
        shape = options.chosen_shape(environment)
        now = self.get_run_time()  # type: ignore[no-untyped-call]
        classes = classes_of(environment, shape)
        found = shape.level(now)
        if found is not None and self.ending_at is None:
            if shape.name == NONE:
                return found[1], float(environment.parsed_options.spawn_rate or 1), classes  # type: ignore[union-attr]
            level = found[1] + sum(user.fixed_count for user in classes)
            return level, float(level), classes  # all within a second: a stage is what its row says
        # Locust's own end of a shape does not wait for what workers still have to report. Who was told to end is ended by who told it.
        wait = REPORT_SECONDS if isinstance(self.runner, MasterRunner) else 0.0
        waits = now < shape.seconds + wait or (self.runner.user_count and now < shape.seconds + LONGEST_END_SECONDS)
        return (0, float(shape.peak), classes) if waits or self.ending_at is not None else None


def classes_of(environment: Environment, shape: Shape) -> list[Any]:
    """Whose users the shape has: those of its mix, and of them those that were named on the command line or picked on the page."""
    if shape.kind == "arrivals":
        return [Source]
    mix = dict(shape.mix) or MIX
    picked = [user.__name__ for user in environment.user_classes]
    named = [name for name in picked if name in mix] if len(picked) < len(EVERYBODY) else list(mix)
    names = [name for name in named or picked if has_tasks(EVERYBODY[name], environment.parsed_options)]
    for name in names:
        EVERYBODY[name].weight = int(1000 * mix[name]) if mix.get(name) else WEIGHTS[name]  # Locust's weights are whole numbers
    return [EVERYBODY[name] for name in names]


def has_tasks(user: Any, given: Any) -> bool:
    """Does anything of it remain with --tags and --exclude-tags? Locust would start users without a task, who raise."""
    kept = [set(getattr(one, "locust_tag_set", ())) for one in user.tasks]
    return any((not given.tags or tags & set(given.tags)) and not tags & set(given.exclude_tags or ()) for tags in kept)


class RunRecorder:
    """The master, or the only process, writes down what all counted, one run after the other."""

    def __init__(self, environment: Environment) -> None:
        self.environment, self.gathered = environment, generator.GatheredCounts(environment)
        self.recorder: Recorder | None = None
        self.number = 0

    def start(self, **_: Any) -> None:
        if self.recorder is not None and not self.recorder.over:
            return
        shape = options.chosen_shape(self.environment)
        options.resolve(self.environment, shape)
        self.gathered.reset()
        self.number += 1
        sends = [name for user in classes_of(self.environment, shape) for name in user.sends]
        self.recorder = Recorder(self.environment, shape, self.gathered, sends, write_json_line)
        self.recorder.start()

    def stopping(self, **_: Any) -> None:
        """Somebody ends the run: the users finish, and workers report, before anything is written."""
        if self.recorder is None or self.recorder.over:
            return
        self.recorder.ending()
        runner = self.environment.runner
        if not isinstance(runner, MasterRunner) or not runner.user_count:
            return
        shape = self.environment.shape_class
        if isinstance(shape, Table) and runner.shape_greenlet is not None:
            shape.ending_at = shape.get_run_time()  # type: ignore[no-untyped-call]
        else:
            runner.start(0, float(max(1, runner.user_count)))
        deadline = time.monotonic() + LONGEST_END_SECONDS
        while runner.user_count and time.monotonic() < deadline:
            gevent.sleep(0.2)
        gevent.sleep(REPORT_SECONDS)

    def finish(self, **_: Any) -> None:
        if self.recorder is None or self.recorder.over:
            return
        measured = self.recorder.finish()
        given: Any = self.environment.parsed_options
        first = given.load_name if self.number == 1 else ""
        folder = Path(given.load_out, first or f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{measured.shape}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "measured.json").write_text(measured.model_dump_json(), encoding="utf-8")
        write_json_line({"step": "measured", "path": str(folder / "measured.json")})
        command = [*REPORTER, "--out", str(folder), "--thresholds", given.load_thresholds, "--about", self.about()]
        command += ["--baseline", given.load_baseline] if given.load_baseline else []
        command += ["--history", given.load_history] if given.load_history else []
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        sys.stdout.write(done.stdout)
        sys.stdout.flush()
        self.environment.process_exit_code = (
            EXIT_INTERRUPTED if measured.interrupted and done.returncode != 2 else done.returncode
        )

    def about(self) -> str:
        given: Any = self.environment.parsed_options
        runner = self.environment.runner
        workers = len(runner.clients) if isinstance(runner, MasterRunner) else 0
        return json.dumps({"workers": workers, "scale": given.load_scale, "arrivals": options.chosen_shape(self.environment).arrivals,
                           **json.loads(given.load_about)})  # fmt: skip


def prepare(environment: Environment, runner: Any, web_ui: Any = None, **_: Any) -> None:
    """Listens to Locust's `init`, in every process."""
    if not environment.stop_timeout:
        environment.stop_timeout = STOP_SECONDS
    if isinstance(runner, WorkerRunner):
        add_listener(environment.events.report_to_master, generator.report_to_master)
        sends(environment)
        return
    given: Any = environment.parsed_options
    if given.load_shape != NONE and (given.num_users or given.spawn_rate or given.run_time):
        log.warning(
            "--users, --spawn-rate and --run-time are for --load-shape none; %s has its own users and times", given.load_shape
        )
    if given.headless:
        end_gently()
    runs = RunRecorder(environment)
    add_listener(environment.events.test_start, runs.start)
    if not isinstance(runner, MasterRunner):
        sends(environment)  # after `runs.start`, which resolves what users are to know: when the shape ends, for one
    add_listener(environment.events.test_stopping, runs.stopping)
    add_listener(environment.events.test_stop, runs.finish)
    add_listener(environment.events.worker_report, runs.gathered.take)
    if web_ui is not None:
        page.extend(web_ui, environment, runs.gathered, Path(given.load_out))
    if isinstance(runner, MasterRunner):
        write_json_line({"step": "master", "detail": "waiting for workers"})


def sends(environment: Environment) -> None:
    """In a process that has users."""
    add_listener(environment.events.test_start, begin_counting)
    gevent.spawn(generator.sample_lag)


def begin_counting(environment: Environment, **_: Any) -> None:
    """A run begins in a process that has users."""
    METER.reset()
    given: Any = environment.parsed_options
    Source.until = time.perf_counter() + options.resolved_options(given.load_resolved).seconds


def end_gently() -> None:
    """SIGTERM ends a run as Ctrl-C does: while a shape runs without the page, Locust listens to Ctrl-C alone, and would lose everything.
    SIGINT is set as well, because a shell that starts this in the background has it ignored. It is raised in the main greenlet alone, so no user
    is interrupted in the middle of a count."""
    main = gevent.get_hub().parent
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, gevent.kill, main, KeyboardInterrupt)


def write_json_line(row: dict[str, object]) -> None:
    """One JSON line for who started this."""
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def add_listener(hook: EventHook, listener: Callable[..., None]) -> None:
    hook.add_listener(listener)  # type: ignore[no-untyped-call]  # Locust leaves it without types


add_listener(events.init_command_line_parser, options.add_options)
add_listener(events.init, prepare)
