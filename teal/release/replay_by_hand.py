"""`teal replay`: recorded queries of users to both colors while two run, outside of a release's own steps."""

from __future__ import annotations

from functools import partial

from rich.table import Table

from teal.errors import BadInput
from teal.events import Event
from teal.ports.target import Target
from teal.record.model import other
from teal.release.answers import compare, worse
from teal.release.replay import Colors, comparison, recorded_queries, replayed
from teal.release.steps.replay import OtherAnswers
from teal.terminal.writer import say, say_json, terminal_console


def show_replay(target: Target, *, as_json: bool) -> None:
    """Replay and show the comparison. Raises BadInput when one color runs, and OtherAnswers when the other one is worse."""
    record, _ = target.store.read()
    active = record.active
    state = record.color(other(active)) if active else None
    if active is None or state is None:
        raise BadInput(
            "There is nothing to compare: one color runs",
            where=target.name,
            next="teal release --pause-at 5, and replay meanwhile",
        )
    colors = Colors(active, other(active))
    queries, said = recorded_queries(target, partial(target.runtime.admin, state, colors.new), state.config)
    if not queries:
        _tell(Event("replay", "ok", said), as_json)
        return
    _tell(Event("replay", "start", f"{said}, each to {colors.active}, {colors.new} and {colors.active}"), as_json)
    found = tuple(replayed(target, colors, queries))
    measures = compare(found)
    _tell(comparison("replay", colors, found, measures, said), as_json)
    if not as_json:
        table = Table(box=None, pad_edge=False)
        for name in ("", f"{colors.new} (new)", f"{colors.active} (active)", "worse"):
            table.add_column(name)
        for one in measures:
            table.add_row(one.what, one.new, one.active, "yes" if one.worse else "")
        terminal_console().print(table)
    if what := worse(measures):
        raise OtherAnswers(what)


def _tell(event: Event, as_json: bool) -> None:
    if as_json:
        say_json(event.fields())
    else:
        say(f"{event.step}: {event.detail}")
