"""Plans as a table for a terminal, as Markdown for docs/scale.md, and as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import fields
from typing import Final

from loadtests.scale.inputs import Input, Inputs
from loadtests.scale.plan import Plan

HEADS: Final = (
    "passages", "questions/s", "shards x copies", "nodes", "because of", "disk each", "app pods", "workers", "USD a month",
    "first snapshot", "restore", "reindex, workers alone", "nearest limit",
)  # fmt: skip


TWICE: Final = 2.0  # from here on a limit is told as so many times, below it as a share


def cells(plan: Plan) -> tuple[str, ...]:
    """One row of the table."""
    limit = plan.first_limit
    return (
        quantity(plan.passages),
        f"{plan.per_second:,.0f}",
        f"{plan.shards} x {plan.copies}",
        f"{plan.nodes} x {plan.node_gib} GiB",
        plan.needed_by,
        f"{plan.disk_gib:,} GiB",
        f"{plan.pods:,}",
        f"{plan.workers:,}",
        f"{plan.usd_a_month:,.0f}",
        duration(plan.snapshot_hours),
        duration(plan.restore_hours),
        duration(plan.reindex_hours),
        f"{limit.name}: {limit.used:.1f} times as many" if limit.used >= TWICE else f"{limit.name}: {limit.used:.0%}",
    )


def markdown(plans: Sequence[Plan]) -> str:
    """The table as Markdown for docs/scale.md."""
    lines = [HEADS, tuple("---" if number in (4, 12) else "---:" for number in range(len(HEADS)))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (*lines, *(cells(plan) for plan in plans)))


def table(plans: Sequence[Plan]) -> str:
    """The table in columns, for a terminal."""
    rows = [HEADS, *(cells(plan) for plan in plans)]
    widths = [max(len(row[number]) for row in rows) for number in range(len(HEADS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def sources(inputs: Inputs) -> str:
    """Every input with its unit, kind and source, as Markdown."""
    lines = ["| input | value | | from |", "|---|---:|---|---|"]
    for field in fields(inputs):
        one: Input = getattr(inputs, field.name)
        lines.append(f"| {field.name.replace('_', ' ')} | {_plain(one.value)} {one.unit} | {one.kind} | {one.source} |")
    return "\n".join(lines)


def picture(plans: Sequence[Plan]) -> str:
    """USD a month over passages, a line for each rate, as SVG; hollow points cannot be built with today's configuration."""
    from matplotlib.figure import Figure  # takes half a second to import, and only the picture needs it

    figure = Figure(figsize=(8.0, 4.2), layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log", xlabel="passages", ylabel="USD a month")
    for rate in sorted({plan.per_second for plan in plans}):
        line = [plan for plan in plans if plan.per_second == rate]
        (drawn,) = axes.plot([one.passages for one in line], [one.usd_a_month for one in line], label=f"{rate:,.0f} questions/s")
        for one in line:
            filled = drawn.get_color() if one.first_limit.used <= 1 else "white"
            axes.plot(one.passages, one.usd_a_month, "o", color=drawn.get_color(), markerfacecolor=filled)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(title="hollow: over a limit", frameon=False)
    with io.StringIO() as text:
        figure.savefig(text, format="svg", metadata={"Date": None})
        return text.getvalue()


def _plain(number: float) -> str:
    """All digits, with commas, and no ".0"."""
    return f"{number:,.0f}" if number == int(number) else f"{number:,}"


def quantity(number: float) -> str:
    """1,000,000 as "1 million"."""
    for size, name in ((1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:g} {name}"
    return f"{number:,.0f}"


def duration(hours: float) -> str:
    """The duration in the unit that a person would use."""
    if hours < 1 / 60:
        return "under a minute"
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"
