"""`teal release`, `rollback`, `abort`, `resume`, `history`, `repair`, `contract`: on the laptop, or with --stack on AWS."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from teal.errors import BadInput, NeedsHuman
from teal.load.run import require_installed
from teal.release import contract as contracts
from teal.release import execute, history, rollback
from teal.release import repair as repairs
from teal.release.live import View
from teal.release.plan import Step
from teal.release.target import Target
from teal.stack.events import Event
from teal.stack.layout import locate

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output, one object a line.")]
Stack = Annotated[str | None, typer.Option("--stack", help="dev, staging or prod on AWS; default: the stack on this machine.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


class ColorName(StrEnum):
    blue = "blue"
    green = "green"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (("release", release_), ("rollback", rollback_), ("abort", abort_), ("resume", resume_), ("history", history_),
                          ("repair", repair_), ("contract", contract_)):  # fmt: skip
        app.command(name=name)(command)


def target_of(stack: str | None) -> Target:
    """The laptop's stack, or one on AWS. Imported late: neither needs the other's libraries."""
    if stack is None:
        from teal.stack.target import laptop

        return laptop(locate(os.environ), os.environ)
    from teal.aws.target import aws

    return aws(stack, os.environ)


def release_(
    path: Annotated[Path, typer.Argument(help="Tree to build; default: here.")] = Path(),
    version: Annotated[str | None, typer.Option("--version", help="A label for what is built.")] = None,
    image: Annotated[
        str | None, typer.Option("--image", help="Release a version that was built before: its digest or label.")
    ] = None,
    reindex: Annotated[
        bool,
        typer.Option(
            "--reindex",
            help="With a search index of its own, built from the catalog: for another embedding model or passage length.",
        ),
    ] = False,
    load: Annotated[
        str | None,
        typer.Option("--load", help="A shape of load (smoke, say) that the new color must carry before it meets a user."),
    ] = None,
    dry_run: DryRun = False,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Bring a version to the users step by step; whatever fails is undone. Exit 1: failed and undone; 3: another runs; 4: needs you."""
    if version is not None and image is not None:
        raise BadInput(
            "--version labels what is built, --image names what was", where="teal release", next="teal release --image ID"
        )
    wish = execute.Wish(path, version, image, reindex)
    target = target_of(stack)
    if load:
        require_installed()  # said now, not when the color is already there
        target = replace(target, rules=replace(target.rules, load=load))
    if dry_run:
        show_plan(execute.preview(target, wish), as_json)
        return
    follow(execute.release(target, wish), as_json)


def rollback_(
    to: Annotated[
        ColorName | None, typer.Option("--to", help="The color to go back to; needed only when the record can not be read.")
    ] = None,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Give all requests back to the color of before, at once, then undo the release. Asks nobody, waits for nobody."""
    follow(rollback.rollback(target_of(stack), None if to is None else "blue" if to is ColorName.blue else "green"), as_json)


def abort_(stack: Stack = None, as_json: Json = False) -> None:
    """Undo a release that is not promoted yet, whoever runs it."""
    follow(rollback.abort(target_of(stack)), as_json)


def resume_(stack: Stack = None, as_json: Json = False) -> None:
    """Go on with a release that is paused, or whose releaser died."""
    follow(execute.resume(target_of(stack)), as_json)


def contract_(dry_run: DryRun = False, stack: Stack = None, as_json: Json = False) -> None:
    """Take away what only older releases needed of the schema. Refused while a color or a rollback window needs it."""
    follow(contracts.contract(target_of(stack), dry_run=dry_run), as_json)


def history_(stack: Stack = None, as_json: Json = False) -> None:
    """The last 20 releases and how each ended."""
    record, found = history.entries(target_of(stack).store)
    if as_json:
        for entry in found:
            typer.echo(json.dumps({
                "id": entry.id, "underway": entry.underway, "active": record.active,
                "release": entry.document.model_dump(mode="json", exclude={"steps"}) if entry.document else None,
                "outcome": entry.outcome.model_dump(mode="json") if entry.outcome else None,
            }))  # fmt: skip
        return
    table = Table(box=None, pad_edge=False)
    for name in ("release", "color", "version", "when", "who", "how it ended"):
        table.add_column(name, overflow="fold")
    for entry in found:
        table.add_row(*row(entry))
    console().print(table if found else "Nothing was released yet")


def row(entry: history.Entry) -> tuple[str, ...]:
    """One release as cells."""
    document, outcome = entry.document, entry.outcome
    ended = "under way" if entry.underway else f"{outcome.phase}: {outcome.reason}" if outcome else "not written"
    if document is None:
        return entry.id, "", "", "", "", ended
    return (
        entry.id,
        document.target,
        f"{document.state.label} {document.state.image[-12:]}",
        f"{document.started_at:%Y-%m-%d %H:%M}",
        document.who,
        ended,
    )


def repair_(yes: Yes = False, stack: Stack = None, as_json: Json = False) -> None:
    """Find what a dead releaser left behind, say what will be done about it, ask, do it. Exit 4 when something is left."""
    target = target_of(stack)
    left = 0
    for finding, work in repairs.repair(target):
        typer.echo(json.dumps(finding.fields()) if as_json else f"found: {finding.what}\n  will: {finding.will}")
        if yes or (not as_json and typer.confirm("Do it?")):
            follow(work, as_json)
        else:
            left += 1
    if left:
        raise NeedsHuman(f"{left} findings are left as they were", where=target.name, next="teal repair --yes")
    if not as_json:
        typer.echo("Nothing is left to repair")


def show_plan(steps: tuple[Step, ...], as_json: bool) -> None:
    for step in steps:
        typer.echo(json.dumps({"step": step.name, "says": step.says, "undo": step.undo}) if as_json
                   else f"{step.name:<14} {step.says}\n{'':<14} undo: {step.undo}")  # fmt: skip


def follow(events: Iterator[Event], as_json: bool) -> None:
    """Show what happens until it is over. Ctrl-C and SIGTERM undo, and that is shown too; a second one leaves it to `teal repair`."""
    if as_json:
        with asked_to_stop():
            drive(events, lambda event: typer.echo(json.dumps(event.fields(), default=str)))
        return
    view, screen = View(), console()
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
    """Shows each event as a line in a log; a look that found the same as the one before is left out."""
    last = ""

    def show(event: Event) -> None:
        nonlocal last
        line = f"{event.state:<8} {event.step:<14} {event.detail}"
        if line != last:
            typer.echo(line)
        last = line

    return show


def drive(events: Iterator[Event], show: Callable[[Event], None]) -> None:
    """Every event shown. An interruption while one is shown goes where it belongs: into the work."""
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
    """SIGTERM is Ctrl-C: GitHub sends it before it kills."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def console() -> Console:
    return Console(highlight=False)
