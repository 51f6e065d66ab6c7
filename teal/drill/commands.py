"""`teal drill`: rehearses the runbooks. Imports are inside the command, so that `teal rollback` need not wait for them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from teal.errors import FAILED, BadInput, NeedsHuman, StackDown
from teal.laptop import supervisor
from teal.laptop.layout import Layout, locate_layout
from teal.laptop.state import load_state
from teal.terminal.options import Json
from teal.terminal.progress import asked_to_stop
from teal.terminal.writer import say, say_json
from teal.terminal.writer import terminal_console as terminal

if TYPE_CHECKING:
    from teal.drill.measure import DrillLimits
    from teal.drill.scene import Drill
    from teal.drill.stack import DrillStack

PER_SECOND = 20.0  # requests: enough to see an outage of a second, and a small part of what two cores can answer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="drill")(drill_)


def drill_(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Which drills; `--list` shows them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them, one after the other.")] = False,
    without: Annotated[list[str] | None, typer.Option("--without", metavar="NAME", help="With --all: leave this one out.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show the drills and their targets.")] = False,
    here: Annotated[bool, typer.Option("--here", help="On the running laptop stack, instead of one made for it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --here: also drills that take the service or data away for a while.")] = False,
    per_second: Annotated[float, typer.Option(min=1, max=200, help="Requests that users send.")] = PER_SECOND,
    stop_when: Annotated[str | None, typer.Option("--stop-when", help="End a drill when a user outside it suffers for long: 'errors > 80 %' or 'p95 > 5 s'.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of index.html and results.json; default: under .teal/drills.")] = None,
    into: Annotated[Path | None, typer.Option("--table", help="Put the table into this Markdown page, between its marks.")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Cause a fault under load, follow its runbook, measure RTO and RPO. Exit 1: past a target in runbooks/targets.yaml; 4: could not run."""
    from teal import runbook
    from teal.drill import report
    from teal.drill.catalogue import DRILLS, select_drills
    from teal.drill.measure import DrillResult, read_limits
    from teal.drill.run import DrillRequest, rehearse
    from teal.load import bystander

    condition = bystander.parse_stop_condition(stop_when) if stop_when is not None else None
    aims = read_limits(runbook.runbooks_folder() / "targets.yaml")
    if lacking := [drill.name for drill in DRILLS if drill.name not in aims]:
        raise BadInput(
            f"No target for {', '.join(lacking)}", where=str(runbook.runbooks_folder() / "targets.yaml"), next="add them"
        )
    if listed:
        _list(DRILLS, aims, as_json)
        return
    wanted = select_drills(names or (), every=every, without=without or ())
    layout = locate_layout(os.environ)
    request = DrillRequest(per_second, _here(layout, wanted, yes) if here else None, condition)
    results = []
    console = terminal()
    with asked_to_stop():
        for told in rehearse(wanted, aims, request):
            if isinstance(told, DrillResult):
                results.append(told)
                fields = {key: value for key, value in told.fields().items() if key != "timeline"}
                _say(as_json, console, fields, f"{told.verdict:<8} {told.drill} {'; '.join(told.reasons)}")
            else:
                _say(as_json, console, told.fields(), f"{told.state:<8} {told.step}: {told.detail}")
    folder = output or layout.home / "drills" / f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    page = report.write_report(results, aims, folder, report.machine())
    if into is not None:
        report.update(into, report.markdown(results, aims, report.machine()))
    if as_json:
        say_json({"page": str(page), "results": str(folder / "results.json")})
    else:
        console.print(report.drill_table(results, aims))
        say(f"page: {page.as_uri()}")
    if any(found.verdict in ("past", "failed") for found in results):
        raise typer.Exit(FAILED)
    if unknown := [found.drill for found in results if found.verdict == "could not run"]:
        raise NeedsHuman(f"Could not run, which is no pass: {', '.join(unknown)}", where="this machine", next="teal doctor")


def _here(layout: Layout, wanted: tuple[Drill, ...], yes: bool) -> DrillStack:
    """The running stack. Raises StackDown, or BadInput when `yes` is missing for a drill that would harm it."""
    from teal.drill.run import RULES
    from teal.drill.stack import DrillStack

    state = load_state(layout)
    if state is None or not supervisor.is_up(layout):
        raise StackDown(str(layout.home))
    if not yes and (harmful := [drill.name for drill in wanted if drill.destructive]):
        raise BadInput(f"On the running laptop stack {', '.join(harmful)} takes the service or data away for a while", where=str(layout.home),
                       next="the same command with --yes, or without --here")  # fmt: skip
    return DrillStack(layout.home, state.ports.public, {"TEAL_RULES": json.dumps(RULES), **os.environ})


def _list(drills: tuple[Drill, ...], aims: Mapping[str, DrillLimits], as_json: bool) -> None:
    if as_json:
        for drill in drills:
            say_json({"drill": drill.name, "fault": drill.fault, "runbook": f"runbooks/{drill.runbook}.md", "blocks": drill.blocks,
                                   "needs": drill.ground, "destructive": drill.destructive, "target": aims[drill.name].model_dump()})  # fmt: skip
        return
    table = Table(box=None, pad_edge=False)
    for column in ("drill", "fault", "runbook", "answered again", "whole again"):
        table.add_column(column, overflow="fold")
    for drill in drills:
        aim = aims[drill.name]
        table.add_row(drill.name, drill.fault + ("" if drill.ground == "plain" else f" (needs: {drill.ground})"), f"{drill.runbook}.md",
                      f"{aim.answered_seconds:g} s", f"{aim.whole_seconds:g} s")  # fmt: skip
    terminal().print(table)


def _say(as_json: bool, console: Console, fields: Mapping[str, object], words: str) -> None:
    if as_json:
        say_json(fields)
    else:
        console.print(words, markup=False)
