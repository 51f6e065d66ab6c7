"""The view of a running release for people: steps, shares, and both colors' gates. Data in, a rich renderable out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from teal.events import Event

_BAR: Final = 40  # characters for 100 %
_MARKS: Final = {
    "start": "[cyan]>>[/cyan]",
    "ok": "[green]ok[/green]",
    "warn": "[yellow]!![/yellow]",
    "progress": "[cyan]>>[/cyan]",
}


@dataclass
class View:
    """The content of the view, extended by `add`. Steps keep the order in which they began."""

    steps: dict[str, Event] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    weights: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    gates: tuple[Mapping[str, Any], ...] = ()

    def add(self, event: Event) -> None:
        known = self.steps.get(event.step)
        if known is None or event.state != "progress" or known.state == "progress":
            self.steps[event.step] = event
        if event.detail:
            self.notes[event.step] = event.detail
        self.weights = event.data.get("weights", self.weights)
        self.counts = event.data.get("counts", self.counts)
        self.gates = tuple(event.data.get("gates", self.gates))

    def render(self) -> RenderableType:
        """Steps, then the shares, then both colors with the gates of the last look."""
        parts: list[RenderableType] = [self._steps()]
        if self.weights:
            parts.append(shares_text(self.weights))
        if self.counts:
            parts.append(self._colors())
        return Group(*parts)

    def _steps(self) -> Table:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="ellipsis", no_wrap=True)
        for name, event in self.steps.items():
            count = f" {event.done}/{event.total}" if event.done is not None and event.state == "progress" else ""
            table.add_row(_MARKS[event.state], escape(name), escape(self.notes.get(name, "")) + count)
        return table

    def _colors(self) -> Table:
        """A row for each gate with samples: the share of bad requests in each color during this step,
        and the verdict over the whole release."""
        table = Table(box=None, pad_edge=False)
        for name in ("", "", *self.counts):
            table.add_column(f"[{name}]{name}[/{name}]" if name else "", justify="right" if name else "left", no_wrap=True)
        table.add_row("", "requests", *(str(counts.get("requests", 0)) for counts in self.counts.values()))
        for gate in self.gates:
            if gate["target_total"] or gate["active_total"] or gate["verdict"] in ("Failed", "Inconclusive"):
                found = (share_text(counts.get(gate["bad"], 0), counts.get(gate["total"], 0)) for counts in self.counts.values())
                table.add_row(_verdict(gate), escape(str(gate["gate"])), *found)
        return table


def shares_text(weights: Mapping[str, int]) -> Text:
    """One line for both colors."""
    line = Text()
    for color, percent in weights.items():
        line.append(f"{color} {percent:3} % ", style=color)
        line.append("█" * round(percent * _BAR / 100) + " ", style=color)
    return line


def share_text(bad: int, total: int) -> str:
    return f"{100 * bad / total:.2f} %" if total else "-"


def _verdict(gate: Mapping[str, Any]) -> str:
    return {"Successful": "[green]ok[/green]", "Failed": "[red]--[/red]", "Absent": "[dim]no[/dim]"}.get(
        str(gate["verdict"]), "[yellow]..[/yellow]"
    )
