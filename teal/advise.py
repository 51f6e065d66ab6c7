"""`teal advise`: tuning advice for the search engine and the database,
from `app.admin advise` run with the active color's image."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.console import Group
from rich.markup import escape

from teal.errors import BadInput
from teal.laptop import admin
from teal.laptop.layout import locate_layout
from teal.targets import open_target
from teal.terminal.options import Json, Stack
from teal.terminal.writer import say_json, terminal_console


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="advise")(advise_)


def advise_(stack: Stack = None, as_json: Json = False) -> None:
    """Tuning advice from live statistics of Elasticsearch and PostgreSQL, each with its reason and source. Changes nothing."""
    rows = ask_for_advice(stack)
    if as_json:
        for row in rows:
            say_json(row)
    else:
        terminal_console(soft_wrap=True).print(advice_table(rows))


def ask_for_advice(stack: str | None) -> list[dict[str, Any]]:
    """The rows of advice that `app.admin advise` prints, run with the active color's image."""
    if stack is None:
        return admin.run_on(locate_layout(os.environ), ("advise",))
    target = open_target(stack)
    record, _ = target.store.read()
    state = record.active_state
    if record.active is None or state is None:
        raise BadInput(
            "No color is active, so nobody can be asked", where="the release record", next=f"teal release --stack {stack}"
        )
    return target.runtime.admin(state, record.active, "advise")


def advice_table(rows: Sequence[Mapping[str, Any]]) -> Group:
    """One paragraph for each piece of advice, then a list of what was examined."""
    lines: list[str] = []
    for row in rows:
        said = {name: escape(str(value)) for name, value in row.items()}
        if "do" in row:
            lines += [f"[yellow]!![/yellow] {said['part']}: [bold]{said['about']}[/bold]: {said['found']}", f"   do:  {said['do']}",
                      f"   why: {said['why']} [dim]({said['source']})[/dim]"]  # fmt: skip
        elif row.get("skipped"):
            lines.append(f"[dim]..[/dim] {said['part']}: {said['skipped']}")
        else:
            lines.append(f"[green]ok[/green] {said['part']}: {said['looked_at']}; advice: {said['advice']}")
    return Group(*lines)
