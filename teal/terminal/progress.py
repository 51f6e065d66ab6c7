"""Shows the events of a long command until it ends; Ctrl-C and SIGTERM make the command undo its work."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.live import Live

from teal.errors import NeedsHuman
from teal.events import Event
from teal.terminal.view import View
from teal.terminal.writer import say, say_json, terminal_console


def show_events(events: Iterator[Event], as_json: bool) -> None:
    """Show the events until the command ends.
    Ctrl-C or SIGTERM starts the undo, which is shown too; a second one leaves it to `teal repair`."""
    if as_json:
        with asked_to_stop():
            drive(events, lambda event: say_json(event.fields()))
        return
    view, screen = View(), terminal_console()
    if not screen.is_terminal:
        with asked_to_stop():
            drive(events, line_by_line())
        return
    with asked_to_stop(), Live(view.render(), console=screen, refresh_per_second=4) as live:

        def show(event: Event) -> None:
            view.add(event)
            live.update(view.render())

        drive(events, show)


def line_by_line() -> Callable[[Event], None]:
    """A function that prints each event as a line of a log; it leaves out a look with the same result as the one before."""
    last = ""

    def show(event: Event) -> None:
        nonlocal last
        line = f"{event.state:<8} {event.step:<14} {event.detail}"
        if line != last:
            say(line)
        last = line

    return show


def drive(events: Iterator[Event], show: Callable[[Event], None]) -> None:
    """Show every event. An interruption while one is shown is raised inside the generator, so that the work is undone."""
    interrupted: KeyboardInterrupt | None = None
    undoing = False
    while True:
        try:
            event = events.throw(interrupted) if interrupted is not None else next(events)  # type: ignore[attr-defined]
        except StopIteration:
            return
        except KeyboardInterrupt as error:
            raise NeedsHuman("Interrupted", where="this command", next="teal rollback, or teal repair") from error
        interrupted = None
        try:
            show(event)
        except KeyboardInterrupt as error:
            if undoing:
                raise NeedsHuman("Interrupted twice", where="this command", next="teal rollback, or teal repair") from error
            interrupted, undoing = error, True


@contextmanager
def asked_to_stop() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C: GitHub sends it before SIGKILL."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
