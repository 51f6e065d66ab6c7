"""Locust's file: who the users are, the shape they follow, and what is written down. `python -m loadtests run` starts Locust with it;
`locust -f loadtests/locustfile.py --load-shape smoke --load-keys KEY --host URL` works as well."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from locust import LoadTestShape, events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.event import EventHook
from locust.runners import WORKER_REPORT_INTERVAL, MasterRunner, WorkerRunner

from loadtests import questions
from loadtests.recorder import Recorder
from loadtests.shapes import SHAPES
from loadtests.users import BY_KIND, Asker, Conversation, HealthProbe, Searcher, Source, Uploader

REPORT_SECONDS: Final = 2 * WORKER_REPORT_INTERVAL  # one may be on its way, and what ends meanwhile is in the next
LONGEST_END_SECONDS: Final = 30.0  # users end their answers within --stop-timeout, 15 s

__all__ = ["Asker", "Conversation", "HealthProbe", "Searcher", "Source", "Table", "Uploader"]  # what Locust looks for


def arguments(parser: LocustArgumentParser) -> None:
    """Options of ours. Workers get them from the master. No group of their own: groups know neither `is_secret` nor the page."""
    parser.add_argument("--load-shape", default="smoke", choices=sorted(SHAPES), help="What load, and when.")
    parser.add_argument("--load-scale", type=float, default=1.0, help="Multiple of the shape's users or requests a second.")
    parser.add_argument("--load-seconds", type=float, default=0.0, help="Length of the whole shape; 0: its own.")
    parser.add_argument(
        "--load-keys",
        env_var="TEAL_LOAD_KEYS",
        is_secret=True,
        required=True,
        include_in_web_ui=False,
        help="API keys, comma between.",
    )
    parser.add_argument(
        "--load-headers",
        env_var="TEAL_LOAD_HEADERS",
        is_secret=True,
        default="{}",
        include_in_web_ui=False,
        help="JSON: more headers.",
    )
    parser.add_argument(
        "--load-ca", default="", include_in_web_ui=False, help="PEM file to verify the service's certificate against."
    )
    parser.add_argument(
        "--load-questions", default=str(questions.DEFAULT), include_in_web_ui=False, help="JSON lines of questions."
    )
    parser.add_argument("--load-out", default="", include_in_web_ui=False, help="Folder for measured.json.")


class Table(LoadTestShape):
    """Walks through the chosen shape; then nobody, until the last answers are in."""

    def tick(self) -> tuple[int, float, list[Any]] | None:
        if self.runner is None:
            return None
        shape = chosen(self.runner.environment)
        now = self.get_run_time()  # type: ignore[no-untyped-call]
        fixed = sum(user.fixed_count for user in BY_KIND[shape.kind])
        found = shape.level(now)
        if found is not None:
            level = found[1] + fixed
            return level, float(level), BY_KIND[shape.kind]  # all within a second: a stage is what its row says
        # Locust's own end of a shape does not wait for what workers still have to report.
        report_seconds = REPORT_SECONDS if isinstance(self.runner, MasterRunner) else 0.0
        if now < shape.seconds + report_seconds or (self.runner.user_count and now < shape.seconds + LONGEST_END_SECONDS):
            return 0, float(shape.peak), BY_KIND[shape.kind]
        return None


def chosen(environment: Environment) -> Any:
    """The shape of the options, at their scale."""
    given: Any = environment.parsed_options
    return SHAPES[given.load_shape].scaled(given.load_scale, given.load_seconds or None)


def record(environment: Environment, runner: Any, **_: Any) -> None:
    """The master, or the only process, writes down what all counted."""
    if isinstance(runner, WorkerRunner):
        return
    recorders: list[Recorder] = []

    def start(**_: Any) -> None:
        if not recorders or recorders[-1].over:
            recorders.append(Recorder(environment, chosen(environment), tell))
            recorders[-1].start()

    def finish(**_: Any) -> None:
        if recorders and not recorders[-1].over:
            measured = recorders[-1].finish()
            if folder := environment.parsed_options.load_out:  # type: ignore[union-attr]
                Path(folder).mkdir(parents=True, exist_ok=True)
                Path(folder, "measured.json").write_text(measured, encoding="utf-8")
                tell({"step": "measured", "path": str(Path(folder, "measured.json"))})

    listen(environment.events.test_start, start)
    listen(environment.events.test_stop, finish)
    if isinstance(runner, MasterRunner):
        tell({"step": "master", "detail": "waiting for workers"})


def tell(row: dict[str, object]) -> None:
    """One JSON line for who started this."""
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def listen(hook: EventHook, listener: Callable[..., None]) -> None:
    hook.add_listener(listener)  # type: ignore[no-untyped-call]  # Locust leaves it without types


listen(events.init_command_line_parser, arguments)
listen(events.init, record)
