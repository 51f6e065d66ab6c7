"""`teal soak`: random faults under steady load for a long time. Imports are inside the command, as in `commands.py`."""

from __future__ import annotations

import json
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from teal.drill.commands import PER_SECOND
from teal.errors import FAILED
from teal.events import Event
from teal.laptop.layout import locate_layout
from teal.terminal.options import Json
from teal.terminal.progress import line_by_line
from teal.terminal.writer import say, say_json
from teal.terminal.writer import terminal_console as terminal

if TYPE_CHECKING:
    from teal.drill.soak_judge import SoakResult

MOST_MINUTES: Final = 1440.0  # a day; the requests of an hour take 15 MB of this process's memory
MOST_SEED: Final = 2**31


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="soak")(soak_)


def soak_(
    minutes: Annotated[float, typer.Option(min=1, max=MOST_MINUTES, help="How long; the last third is without faults.")] = 60.0,
    seed: Annotated[int | None, typer.Option(min=0, max=MOST_SEED, help="Repeats the faults of an earlier soak in the same order.")] = None,
    per_second: Annotated[float, typer.Option(min=1, max=200, help="Requests that users send.")] = PER_SECOND,
    output: Annotated[Path | None, typer.Option(help="Folder of results.json and processes.csv; default: under .teal/soaks.")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Cause random faults under steady load on a new stack. Exit 1: a document lost or doubled, growth, a failure without a fault, ended early."""
    from teal import runbook
    from teal.drill.measure import read_limits
    from teal.drill.soak import SoakRequest, run_soak
    from teal.drill.soak_report import samples_csv

    targets = read_limits(runbook.runbooks_folder() / "targets.yaml")
    folder = output or locate_layout(os.environ).home / "soaks" / f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    show = line_by_line()

    def tell(event: Event) -> None:
        if as_json:
            say_json(event.fields())
        else:
            show(event)

    request = SoakRequest(minutes, secrets.randbelow(MOST_SEED) if seed is None else seed, per_second)
    with _two_signals(request.stop, request.judging):
        found = run_soak(request, targets, tell)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "results.json").write_text(json.dumps(found.fields(), indent=1) + "\n", encoding="utf-8")
    (folder / "processes.csv").write_text(samples_csv(found.samples), encoding="utf-8")
    if as_json:
        say_json(found.fields() | {"results": str(folder / "results.json")})
    else:
        _show(found)
        say(f"results: {folder / 'results.json'}")
    if found.reasons:
        raise typer.Exit(FAILED)


@contextmanager
def _two_signals(stop: threading.Event, judging: threading.Event) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM sets `stop`; the second raises KeyboardInterrupt, unless the soak is being judged.
    An ignored signal stays ignored, as under nohup."""

    def asked(_: int, __: FrameType | None) -> None:
        if judging.is_set():
            say("it is being judged and stopped: three minutes at most", error=True)
            return
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        say("stopping as soon as the fault under way is mended; once more: at once", error=True)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, asked)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show(found: SoakResult) -> None:
    """The result for people."""
    from teal.drill.soak_report import growth_table, summary_lines

    for line in summary_lines(found):
        say(line)
    terminal().print(growth_table(found.growths))
    for reason in found.reasons:
        say(f"not passed: {reason}")
    if not found.reasons:
        say("passed")
