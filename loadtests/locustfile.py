"""The locustfile: classes of users, the load shape, and the recorder. All of Locust's own options work with it:

    locust -f loadtests/locustfile.py --host URL --load-keys KEY -u 20 -r 5 -t 60s Searcher Asker
    locust -f loadtests/locustfile.py --host URL --load-keys KEY --load-shape smoke --headless

`python -m loadtests run` and `teal load` start Locust with it. Each run ends with the same files, in a folder of its own: result.json, index.html.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
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
from locust import argument_parser, events
from locust.env import Environment
from locust.event import EventHook
from locust.runners import MasterRunner, Runner, WorkerRunner
from prometheus_client import start_http_server

from loadtests import descriptors, generator, metrics, options, page
from loadtests.climb import ClimbRules
from loadtests.measured import SEARCH
from loadtests.meter import METER
from loadtests.probe import Probe
from loadtests.recorder import Recorder
from loadtests.reproducers import CacheBuster, HotKey, Leaver, LongConversation, SlowReader, UploadStorm
from loadtests.shapes import NONE
from loadtests.table import LONGEST_END_SECONDS, REPORT_SECONDS, STOP_SECONDS, Table, sends_of, why_nobody_sends
from loadtests.thresholds import read_rules
from loadtests.timetable import Timetable
from loadtests.users import Asker, Conversation, HealthProbe, Searcher, Source, Uploader

LONGEST_REPORT_SECONDS: Final = 60.0  # plots of the longest run take a few
# A separate process, because drawing plots would delay the heartbeats of Locust's master.
REPORTER: Final = (sys.executable, "-m", "loadtests", "report")
EXIT_INTERRUPTED: Final = 130
MEASURED: Final = "measured.json"

# The classes that Locust looks for in this file.
__all__ = ["Asker", "CacheBuster", "Conversation", "HealthProbe", "HotKey", "Leaver", "LongConversation", "Searcher", "SlowReader", "Source",
           "Table", "UploadStorm", "Uploader"]  # fmt: skip
log = logging.getLogger(__name__)


class RunRecorder:
    """Records the counts of all processes, one run after the other, in the master or the only process."""

    def __init__(self, environment: Environment) -> None:
        self.environment, self.gathered = environment, generator.GatheredCounts(environment)
        self.recorder: Recorder | None = None
        self.kept = descriptors.KeptDescriptors()
        self.number, self.writing = 0, False

    def start(self, **_: Any) -> None:
        if self.recorder is not None and not self.recorder.over:
            return
        shape = options.chosen_shape(self.environment)
        options.resolve(self.environment, shape)
        self.gathered.reset()
        self.number += 1
        self.kept.keep()
        timetable, sends = Timetable(shape), sends_of(self.environment, shape)
        self.recorder = Recorder(self.environment, timetable, self.gathered, sends, write_json_line)
        if isinstance(self.environment.shape_class, Table):
            self.environment.shape_class.timetable = timetable
        if shape.each_stage:
            rules = read_rules(Path(self.environment.parsed_options.load_thresholds))  # type: ignore[union-attr]
            probe = Probe(self.environment, rules.slos().get(SEARCH, float("inf")))
            self.recorder.watch_climbs(ClimbRules(rules.of(shape.name, sends), rules.generator.late_p99_ms), probe)
        self.recorder.start()

    def forget(self, **_: Any) -> None:
        """Called before Locust resets its statistics."""
        if self.recorder is not None and not self.recorder.over:
            self.recorder.forget()

    def stopping(self, **_: Any) -> None:
        """Called when the run is told to end: users finish and workers report before anything is written."""
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
        if isinstance(self.environment.shape_class, Table):
            self.environment.shape_class.timetable = None
        self.kept.give_back()
        given: Any = self.environment.parsed_options
        first = given.load_name if self.number == 1 else ""
        folder = own_folder(Path(given.load_out), first or f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{measured.shape}")
        (folder / MEASURED).write_text(measured.model_dump_json(), encoding="utf-8")
        write_json_line({"step": "measured", "path": str(folder / MEASURED)})
        command = [*REPORTER, "--out", str(folder), "--thresholds", given.load_thresholds, "--about", self.about()]
        command += ["--baseline", given.load_baseline] if given.load_baseline else []
        command += ["--history", given.load_history] if given.load_history else []
        self.writing = True
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            sys.stdout.write(done.stdout)
            sys.stdout.flush()
        finally:
            self.writing = False  # a report that cannot be started, or a reader that is gone, must hold up no end
        self.environment.process_exit_code = (
            EXIT_INTERRUPTED if measured.interrupted and done.returncode != 2 else done.returncode
        )

    def wait_for_report(self, **_: Any) -> None:
        """Wait for the report before Locust exits.
        With its page it handles SIGTERM in two places, and so may exit while a report is written."""
        deadline = time.monotonic() + LONGEST_REPORT_SECONDS
        while self.writing and time.monotonic() < deadline:
            gevent.sleep(0.1)

    def about(self) -> str:
        given: Any = self.environment.parsed_options
        runner = self.environment.runner
        workers = len(runner.clients) if isinstance(runner, MasterRunner) else 0
        return json.dumps({"workers": workers, "scale": given.load_scale, "arrivals": options.chosen_shape(self.environment).arrivals,
                           **json.loads(given.load_about)})  # fmt: skip


def own_folder(out: Path, name: str) -> Path:
    """A new folder of this name, with a number appended if another run has the name. An existing folder without a run is used,
    because it already contains the log."""
    for number in itertools.count(1):
        folder = out / (name if number == 1 else f"{name}-{number}")
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            # The process that creates this file owns the folder, so that two processes cannot take the same one.
            (folder / MEASURED).touch(exist_ok=False)
            return folder
    raise AssertionError("counting has no end")


def prepare(environment: Environment, runner: Any, web_ui: Any = None, **_: Any) -> None:
    """Handle Locust's event `init`, in every process."""
    if not environment.stop_timeout:
        environment.stop_timeout = STOP_SECONDS
    if environment.reset_stats:
        environment.reset_stats = False  # else Locust resets its statistics again when the last users have left
        add_listener(environment.events.spawning_complete, functools.partial(forget, environment))
    if isinstance(runner, WorkerRunner):
        add_listener(environment.events.report_to_master, generator.report_to_master)
        sends(environment)
        return
    given: Any = environment.parsed_options
    if given.load_shape != NONE and (given.num_users or given.spawn_rate or given.run_time):
        log.warning(
            "--users, --spawn-rate and --run-time are for --load-shape none; %s has its own users and times", given.load_shape
        )
    refuse_what_cannot_be_judged(environment)
    runs = RunRecorder(environment)
    if given.headless:
        end_gently(runs)
    add_listener(environment.events.test_start, runs.start)
    if not isinstance(runner, MasterRunner):
        sends(environment)  # after `runs.start`, which resolves options for the users, such as the end of the shape
    add_listener(environment.events.test_stopping, runs.stopping)
    add_listener(environment.events.test_stop, runs.finish)
    add_listener(environment.events.reset_stats, runs.forget)
    add_listener(environment.events.quit, runs.wait_for_report)
    add_listener(environment.events.worker_report, runs.gathered.take)
    counted = metrics.registry(environment, runs.gathered)
    if given.load_metrics_port:
        try:
            start_http_server(given.load_metrics_port, given.load_metrics_address, counted)
        except OSError as error:
            refuse(f"{given.load_metrics_address}:{given.load_metrics_port}: {error.strerror}", "locust --load-metrics-port")
    if web_ui is not None:
        page.extend(web_ui, environment, counted, Path(given.load_out))
    if isinstance(runner, MasterRunner):
        write_json_line({"step": "master", "detail": "waiting for workers"})


def refuse_what_cannot_be_judged(environment: Environment) -> None:
    """Exit with 2 and the reason before anything is sent, if the run could not be judged."""
    try:
        shape = options.chosen_shape(environment)
        said = shape.too_short() or why_nobody_sends(environment, shape)
        if not isinstance(environment.runner, MasterRunner):
            said = said or descriptors.too_few(shape)
    except ValueError as error:
        said = str(error)
    if said:
        refuse(said, "locust --load-shape")


def refuse(what: str, where: str) -> None:
    """Exit with 2 and the reason."""
    write_json_line({"error": {"code": "bad-input", "what": what, "where": where}})
    sys.stderr.write(f"locust: error: {what}\n")
    sys.exit(2)


def forget(environment: Environment, user_count: int) -> None:
    """Reset the statistics for --reset-stats once all users of a plain run are spawned.
    Other shapes have their own warm-up, and spawn users in each stage."""
    if user_count and environment.parsed_options.load_shape == NONE and environment.runner is not None:  # type: ignore[union-attr]
        environment.events.reset_stats.fire()  # type: ignore[no-untyped-call]
        environment.runner.stats.reset_all()


def sends(environment: Environment) -> None:
    """Register the handlers of a process that has users."""
    add_listener(environment.events.test_start, begin_counting)
    gevent.spawn(generator.sample_lag)


def begin_counting(environment: Environment, **_: Any) -> None:
    """Called when a run begins, in a process that has users."""
    METER.reset()
    given: Any = environment.parsed_options
    Source.until = time.perf_counter() + options.resolved_options(given.load_resolved).seconds


def end_gently(runs: RunRecorder) -> None:
    """Make SIGTERM end a run like Ctrl-C. While a shape runs without the page, Locust handles only Ctrl-C, and SIGTERM would lose
    everything. SIGINT gets a handler too, because a shell that starts this in the background makes it ignored. The exception is
    raised in the main greenlet only, so no user is interrupted in the middle of a count. Only the first signal counts: the end
    takes some seconds, and a second signal then, or while the report is written, would lose the measurements."""
    main = gevent.get_hub().parent
    told = False

    def end() -> None:
        nonlocal told
        if not told and not (runs.recorder is not None and runs.recorder.over):
            told = True
            gevent.kill(main, KeyboardInterrupt)

    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, end)


def write_json_line(row: dict[str, object]) -> None:
    """Print one JSON line for the process that started this one. A reader that is gone must not hold up the run's end."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()


def add_listener(hook: EventHook, listener: Callable[..., None]) -> None:
    hook.add_listener(listener)  # type: ignore[no-untyped-call]  # Locust leaves it without types


# A worker asks for Locust's defaults once for each option in each change of users: of seventy options that is 0.1 s of CPU in which nothing is sent.
argument_parser.default_args_dict = functools.cache(argument_parser.default_args_dict)
Runner.monitor_cpu_and_memory = generator.keep_monitoring(Runner.monitor_cpu_and_memory)  # type: ignore[method-assign, assignment]
add_listener(events.init_command_line_parser, options.add_options)
add_listener(events.init, prepare)
