"""`teal snapshot`, `snapshots`, `verify`, `restore`, `rebuild`: on the laptop, or with --stack on AWS."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from teal.backup import flow
from teal.backup.files import CATALOG, lost_files, restart_color
from teal.errors import BadInput, NeedsHuman
from teal.events import Event
from teal.laptop.layout import Layout, locate_layout
from teal.laptop.state import load_state
from teal.laptop.target import open_laptop_target
from teal.ports.target import Target
from teal.targets import open_target
from teal.terminal.options import Json, Stack, Yes
from teal.terminal.progress import show_events
from teal.terminal.writer import say, say_json, terminal_console

Id = Annotated[str | None, typer.Option("--snapshot", help="Its id (`teal snapshots`); default: the newest.")]


class RestoredStore(StrEnum):
    search = "search"
    database = "database"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (
        ("snapshot", snapshot_),
        ("snapshots", snapshots_),
        ("verify", verify_),
        ("restore", restore_),
        ("rebuild", rebuild_),
    ):
        app.command(name=name)(command)


def snapshot_(stack: Stack = None, as_json: Json = False) -> None:
    """Copy search and catalog now, encrypted, while both are in use."""
    row = _admin(open_target(stack), "snapshot")[-1]
    if as_json:
        say_json(row)
    else:
        say(f"{row['id']}: {row['documents']} documents, {row['passages']} passages, {_size(row['bytes'])}")


def snapshots_(stack: Stack = None, as_json: Json = False) -> None:
    """Every snapshot, newest first: age, what is in it, how long ago it was restored for a test."""
    rows = _admin(open_target(stack), "snapshots")
    if as_json:
        for row in rows:
            say_json(row)
        return
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for name in ("snapshot", "age", "index", "documents", "passages", "size", "verified"):
        table.add_column(name, no_wrap=name == "snapshot", overflow="fold")
    for row in rows:
        if "unreadable" in row:
            continue
        age = "from the future" if row.get("from_the_future") else _age(row["age_seconds"])
        table.add_row(row["id"], age, row["index"], str(row["documents"]),
                      "?" if row["passages"] is None else str(row["passages"]), _size(row["bytes"]), _verified(row))  # fmt: skip
    terminal_console().print(table if table.rows else "There is no snapshot yet. Next: teal snapshot")
    for row in rows:
        if "unreadable" in row:
            say(f"{row['id']} is kept and cannot be used here: {row['unreadable']}")


def verify_(snapshot: Id = None, stack: Stack = None, as_json: Json = False) -> None:
    """Restore a snapshot for a test: whole, complete, and its search answers. What runs is not touched. Exit 1: it is no good."""
    row = _admin(open_target(stack), "verify", *(("--snapshot", snapshot) if snapshot else ()))[-1]
    if as_json:
        say_json(row)
    else:
        say(f"{row['snapshot']} is good: {row['detail']}")


def restore_(
    snapshot: Id = None,
    at: Annotated[
        str | None, typer.Option("--at", help="The newest snapshot of before this moment, for example 2026-01-31T12:00:00Z.")
    ] = None,
    only: Annotated[
        RestoredStore | None, typer.Option("--only", help="Search alone, or the database alone; default: both.")
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option("--into", help="Another stack on this machine (its TEAL_HOME, up): restore there what is kept here."),
    ] = None,
    yes: Yes = False,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Put a snapshot back: beside what runs, compared, then exchanged; the old is kept, and search ends as the catalog says."""
    if snapshot is not None and at is not None:
        raise BadInput("--snapshot names one, --at chooses one", where="teal restore", next="teal restore --snapshot ID")
    if stack is not None and into is not None:
        raise BadInput("--into is another stack on this machine", where="teal restore", next="teal restore --into HOME")
    which = [*(("--snapshot", snapshot) if snapshot else ()), *(("--at", at_moment(at)) if at else ())]
    if stack is not None and only is not RestoredStore.search:
        database_on_aws(stack, snapshot, at, only, yes, as_json)
        return
    if into is not None:
        here = locate_layout(os.environ)
        which += ["--source", str(here.backups), "--key", str(here.backup_key)]
    place = None if stack else _there(into) if into is not None else locate_layout(os.environ)
    target = open_laptop_target(place, os.environ) if place is not None else open_target(stack)
    if only is not RestoredStore.search and not yes:
        if as_json:
            raise BadInput(
                "It replaces the catalog: what was accepted since the snapshot is gone from it",
                where="teal restore",
                next="teal restore --yes",
            )
        typer.confirm(
            "What was accepted after the snapshot will not be in the catalog any more (the catalog of now is kept beside it). Restore?",
            abort=True,
        )
    show_events(_restore(target, which, only, place), as_json)


def _restore(target: Target, which: list[str], only: RestoredStore | None, place: Layout | None) -> Iterator[Event]:
    with flow.hold_record(target) as work:
        gone = lost_files(place, work.index) if place is not None else ()
        if only is not RestoredStore.search:
            yield from flow.restore_catalog(work, which)
            if place is not None and CATALOG in gone:  # at once: until then accepted documents are written to a deleted file
                yield from restart_color(target, place, work, gone)
                gone = ()
        if only is not RestoredStore.database:
            yield from flow.restore_search(work, which)
        yield from _begun_anew(target, place, work, gone)
        if only is RestoredStore.database:
            yield from flow.reconcile_search(work)
    yield Event("done", "ok", "restored")


def _begun_anew(target: Target, place: Layout | None, work: flow.DataOperation, gone: Sequence[str]) -> Iterator[Event]:
    """Restart the color if files were lost, then index from the catalog what the worker had written to the deleted file."""
    if place is not None and gone:
        yield from restart_color(target, place, work, gone)
        yield from flow.reconcile_search(work)


def database_on_aws(
    stack: str, snapshot: str | None, at: str | None, only: RestoredStore | None, yes: bool, as_json: bool
) -> None:
    """Write the line that `pulumi up` and a release will act on. Exit 4: the operator has to start these."""
    from teal.aws import database_restore, platform, stack_file
    from teal.aws.session import open_aws

    if only is None or snapshot is not None:
        raise BadInput("On AWS the database goes back by time, and search by itself or with it", where="teal restore --stack",
                       next=f"teal restore --stack {stack} --only database --at TIME, or --only search")  # fmt: skip
    root = Path(os.environ.get("TEAL_ROOT", "."))
    file = stack_file.read_stack_file(root, stack)
    moment = datetime.fromisoformat(at_moment(at)) if at else None
    found = database_restore.recovery(open_aws(file.region).rds, platform.read_platform(stack, root, os.environ), moment)
    _, state = flow.active(open_target(stack))
    following = database_restore.following(file, state.image)
    if not as_json:
        say(f"{found.source} as of {found.time:%Y-%m-%d %H:%M:%S} UTC, as an instance beside it:\n{found.line}")
    if not yes and (as_json or not typer.confirm(f"Write this line into {file.path.name}?")):
        raise NeedsHuman("Nothing was written", where=str(file.path), next=f"teal restore --stack {stack} --only database --yes")
    database_restore.write_restore_line(file, found)
    if as_json:
        say_json({"source": found.source, "time": found.time, "file": file.path, "next": list(following)})
    raise NeedsHuman(f"{file.path.name} says it; the rest is yours", where=stack, next=";\n        ".join(following))


def rebuild_(stack: Stack = None, as_json: Json = False) -> None:
    """Make search anew from the catalog alone, beside what runs, then exchange them. Embeds everything: minutes to hours."""
    show_events(_rebuild(open_target(stack), None if stack else locate_layout(os.environ)), as_json)


def _rebuild(target: Target, place: Layout | None) -> Iterator[Event]:
    with flow.hold_record(target) as work:
        gone = lost_files(place, work.index) if place is not None else ()
        yield from flow.rebuild_search(work)
        yield from _begun_anew(target, place, work, gone)
    yield Event("done", "ok", "rebuilt")


def _there(home: Path) -> Layout:
    """The layout of another stack on this machine. Raises BadInput when none was ever started there."""
    place = Layout(home.expanduser().absolute())
    if load_state(place) is None:
        raise BadInput("There is no stack", where=f"--into {place.home}", next=f"TEAL_HOME={place.home} teal up --port PORT")
    return place


def at_moment(text: str) -> str:
    """The moment as an ISO text with its zone. Raises BadInput."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{text[:40]} is no moment", where="--at", next="teal restore --at 2026-01-31T12:00:00Z") from error
    if found.tzinfo is None:
        raise BadInput("A moment needs its time zone", where="--at", next="teal restore --at 2026-01-31T12:00:00Z")
    return found.isoformat()


def _admin(target: Target, *arguments: str) -> list[dict[str, Any]]:
    color, state = flow.active(target)
    return target.runtime.admin(state, color, *arguments)


def _age(seconds: float) -> str:
    return (
        f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
        if seconds < 172_800
        else f"{seconds / 86_400:.1f} days"
    )


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count else "in the repository"


def _verified(row: Mapping[str, Any]) -> str:
    """How long ago the snapshot was tested. Images older than the field `verified_known` do not report whether they know this."""
    if not row.get("verified_known", True):
        return "unknown"
    if not row["verified_at"]:
        return "never"
    return _age((datetime.now(UTC) - datetime.fromisoformat(str(row["verified_at"]))).total_seconds())
