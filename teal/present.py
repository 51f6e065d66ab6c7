"""Renders results for people: data in, text or a rich renderable out. Prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

from teal.events import Event
from teal.laptop.parts.part import CheckRow
from teal.laptop.status import Status

PASSAGE_CHARACTERS = 160  # of a cited passage: two lines of a terminal
MARKS = {"start": "[dim]..[/dim]", "ok": "[green]ok[/green]", "warn": "[yellow]!![/yellow]", "progress": "[dim]..[/dim]"}


def step_line(event: Event) -> str:
    """One line for one event."""
    count = f" {event.done}/{event.total}" if event.done is not None else ""
    return f"{MARKS[event.state]} {event.step:<14} {escape(event.detail)}{count}"


def answer_text(question: str, found: Mapping[str, Any], seconds: float | None = None) -> str:
    """An answer with its citations and who wrote it."""
    took = f" [dim](after {seconds:.0f} s)[/dim]" if seconds is not None else ""
    return f"\n[bold]{escape(question)}[/bold]{took}\n\n{escape(str(found['answer']))}\n\n{citations(found)}"


def citations(found: Mapping[str, Any]) -> str:
    """The cited passages, or the nearest ones for an "I don't know";
    the model that wrote the answer, and whether it is grounded."""
    lines = [_cited(number, cited) for number, cited in enumerate(found.get("citations", ()), start=1)]
    if nearest := found.get("nearest"):
        near = [_cited(number, passage) for number, passage in enumerate(nearest, start=1)]
        lines += ["  The passages that come nearest; they may be about something else:", *near]
    who = f"  [dim]written by: {escape(str(found.get('label') or 'unknown'))}{'' if found.get('grounded') else '; not grounded in the documents'}[/dim]"
    weaker = [f"  [yellow]weaker than usual: {escape(str(found['degraded']))}[/yellow]"] if found.get("degraded") else []
    return "\n".join([*lines, who, *weaker])


def _cited(number: int, cited: Mapping[str, Any]) -> str:
    passage = escape(_short(str(cited.get("quote") or cited["passage"])))
    return f"  [cyan]\\[{cited.get('n', number)}][/cyan] {escape(str(cited['title']))} [dim]{passage}[/dim]"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= PASSAGE_CHARACTERS else flat[:PASSAGE_CHARACTERS].rsplit(" ", 1)[0] + " ..."


def page_text(data: Mapping[str, Any]) -> str:
    return (f"\n  page     [bold]{escape(str(data['url']))}[/bold]\n  sign in  {escape(str(data['sign_in']))}\n"
            "  [dim]the browser warns once about the certificate, which is this stack's own: `teal doctor` says how to trust it[/dim]\n")  # fmt: skip


def check_table(title: str, found: Iterable[CheckRow]) -> Table:
    """A table of checks with the command that mends each."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("", "part", "state", "next"):
        table.add_column(name, overflow="fold")
    for row in found:
        table.add_row("[green]ok[/green]" if row.ok else "[red]--[/red]", row.part, escape(row.detail), escape(row.mend))
    return table


def status_summary(found: Status) -> str:
    """Two lines about documents and search; empty when the service did not answer."""
    if not found.search:
        return ""
    documents = ", ".join(f"{count} {name}" for name, count in found.documents.items() if count) or "none"
    search = ", ".join(f"{name} {value}" for name, value in found.search.items())
    return f"documents: {escape(documents)}\nsearch:    {escape(search)}\npage:      {found.url}"


def keys(found: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("id", "name", "role", "collections", "created", "quota", "state"):
        table.add_column(name, overflow="fold")
    for key in found:
        table.add_row(*(escape(str(value)) for value in (_first(key, "key_id", "id"), key.get("name", ""), key.get("role", ""),
                      ", ".join(key.get("collections") or ()) or "all", str(key.get("created_at", ""))[:19], quota(key), key_state(key))))  # fmt: skip
    return table


def key_state(key: Mapping[str, Any], moment: datetime | None = None) -> str:
    """Whether the key is valid and until when; for one that ends soon also what to do."""
    if key.get("revoked_at"):
        return "revoked"
    if not key.get("expires_at"):
        return "valid"
    end = str(key["expires_at"])[:19]
    if datetime.fromisoformat(str(key["expires_at"])) <= (moment or datetime.now(UTC)):
        return f"ended {end}"
    if key.get("replaced_by"):
        return f"until {end}, then {key['replaced_by']}"
    return f"ends soon, {end}: teal keys rotate {_first(key, 'key_id', 'id')}" if key.get("ends_soon") else f"until {end}"


def quota(key: Mapping[str, Any]) -> str:
    """What the key may do in a day, with what it has used of today (UTC) where that is known."""
    used = key.get("used_today")
    limits = {kind: limit for kind, limit in (key.get("quota") or {}).items() if limit is not None}
    return (
        ", ".join(f"{f'{used.get(kind, 0)}/' if used is not None else ''}{limit} {kind}" for kind, limit in limits.items())
        or "none"
    )


def _first(row: Mapping[str, Any], *names: str) -> object:
    return next((row[name] for name in names if row.get(name)), "")
