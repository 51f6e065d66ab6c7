"""The reports of drills: a table, a page, JSON, and the table in the documentation.
Pure functions except `write_report` and `update`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import psutil
from rich.table import Table
from rich.text import Text

from teal import html
from teal.drill.measure import DrillLimits, DrillResult
from teal.errors import BadInput
from teal.html import Point

BEGIN, END = "<!-- drills: begin (teal drill --all --table) -->", "<!-- drills: end -->"
HEAD: Final = ("drill", "fault", "answered again, s (target)", "whole again, s (target)", "lost documents (target)",
               "failed requests (target)", "p99, s", "verdict")  # fmt: skip
_COLORS: Final = {"answered": "#1a7f37", "failed": "#b42318", "slowest": "#1f6feb"}
_STYLES: Final = {"within": "green", "past": "red", "failed": "red", "could not run": "yellow"}
_BIN_SECONDS: Final = 0.5  # of the plots


def machine() -> str:
    """The machine on which the drills were measured."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} CPUs ({platform.machine()}), {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"
    )


def drill_cells(found: DrillResult, target: DrillLimits | None) -> tuple[str, ...]:
    """One drill as table cells: each measured value with its limit."""
    if found.verdict == "could not run":
        return found.drill, found.fault, "", "", "", "", "", f"could not run: {'; '.join(found.reasons)}"

    def of(value: str, most: float | None) -> str:
        return value if most is None else f"{value} ({most:g})"

    def seconds(value: float | None) -> str:
        return "never" if value is None else f"{value:.1f}"

    verdict = found.verdict if not found.reasons else f"{found.verdict}: {'; '.join(found.reasons)}"
    return (
        found.drill,
        found.fault,
        of(seconds(found.answered_seconds), target.answered_seconds if target else None),
        of(seconds(found.whole_seconds), target.whole_seconds if target else None),
        of(f"{found.lost_documents} of {found.documents}", target.lost_documents if target else None),
        of(f"{found.failed_requests} of {found.requests}", target.failed_requests if target else None),
        f"{found.p99_seconds:.2f}",
        verdict,
    )


def drill_table(results: Sequence[DrillResult], targets: Mapping[str, DrillLimits]) -> Table:
    """The results as a table for a terminal. It leaves out the fault, which was printed when it happened."""
    made = Table(box=None, pad_edge=False)
    for name in (HEAD[0], *HEAD[2:]):
        made.add_column(name, no_wrap=name == HEAD[0], overflow="fold")
    for found in results:
        name, _, *cells, verdict = drill_cells(found, targets.get(found.drill))
        made.add_row(name, *map(Text, cells), Text(verdict, style=_STYLES[found.verdict]))
    return made


def markdown(results: Sequence[DrillResult], targets: Mapping[str, DrillLimits], where: str) -> str:
    """The results as a Markdown table for the documentation, with date and machine."""
    lines = [
        f"{results[0].began[:10] if results else 'never'}, {where}; users sent {results[0].per_second if results else 0:g} requests a second.",
        "",
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * len(HEAD)}",
        *(
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in drill_cells(found, targets.get(found.drill)))} |"
            for found in results
        ),
    ]
    return "\n".join(lines) + "\n"


def update(path: Path, text: str) -> None:
    """Replace the text between the marks of a page. Raises BadInput when the page has no marks."""
    page = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BadInput("The page has no place for the table", where=str(path), next=f"put {BEGIN} and {END} into it")
    path.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")


def write_report(results: Sequence[DrillResult], targets: Mapping[str, DrillLimits], folder: Path, where: str) -> Path:
    """Write `results.json` and `index.html` into the folder; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    whole: dict[str, Any] = {"machine": where, "results": [one.fields() for one in results],
                             "targets": {name: target.model_dump() for name, target in targets.items()}}  # fmt: skip
    (folder / "results.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    page = folder / "index.html"
    page.write_text(drill_page(results, targets, where), encoding="utf-8")
    return page


def drill_page(results: Sequence[DrillResult], targets: Mapping[str, DrillLimits], where: str) -> str:
    """The HTML page: the table, and for each drill its requests over time and the output of the runbook's blocks.
    All text is escaped."""
    rows = []
    for one in results:
        name, *cells, verdict = drill_cells(one, targets.get(one.drill))
        style = "good" if one.verdict == "within" else "bad"
        rows.append([f'<a href="#{escape(name)}">{escape(name)}</a>', *map(escape, cells), f'<span class="{style}">{escape(verdict)}</span>'])  # fmt: skip
    began = results[0].began if results else "never"
    body = [f"<p>{escape(began)}, {escape(where)}</p>", html.html_table(HEAD, rows)]
    for one in results:
        body += _drill(one)
    return html.html_page("Drills", body)


def _drill(found: DrillResult) -> list[str]:
    name = escape(found.drill)
    parts = [f'<h2 id="{name}">{name}</h2>', f"<p>{escape(found.fault)}; runbooks/{escape(found.runbook)}.md</p>"]
    if found.timeline:
        lines, slowest = _per_second(found.timeline)
        failed = sum(not good for _, _, good in found.timeline)
        label = f"Requests a second by the moment they were due: {len(found.timeline) - failed} answered (green), {failed} failed (red)"
        parts.append(html.chart(lines, html.largest_value(lines), _COLORS, label, found.marks))
        label = f"Seconds of the slowest request due in each half second; p50 {found.p50_seconds:.3f}, p99 {found.p99_seconds:.3f} since the fault, sent late by {found.p99_late_seconds:.3f} at p99"
        parts.append(html.chart(slowest, html.largest_value(slowest), _COLORS, label, found.marks))
    if found.failures:
        parts.append(f"<details><summary>the first failures</summary><pre>{escape(chr(10).join(found.failures))}</pre></details>")
    for ran in found.blocks:
        parts.append(f"<details><summary>block {escape(ran.block)}: exit {ran.exit_code}, {ran.seconds:.1f} s</summary>"
                     f"<pre>{escape(ran.said)}</pre></details>")  # fmt: skip
    return parts


def _per_second(timeline: Sequence[tuple[float, float, bool]]) -> tuple[dict[str, list[Point]], dict[str, list[Point]]]:
    """Rates of answered and failed requests, and the slowest request of each bin."""
    bins = int(max(at for at, _, _ in timeline) / _BIN_SECONDS) or 1  # the last bin is incomplete and would look like a drop
    good, bad, slow = [0] * bins, [0] * bins, [0.0] * bins
    for at, seconds, answered in timeline:
        if (place := int(at / _BIN_SECONDS)) >= bins:
            continue
        (good if answered else bad)[place] += 1
        slow[place] = max(slow[place], seconds)

    def line(values: Sequence[float], scale: float) -> list[Point]:
        return [(place * _BIN_SECONDS, value * scale) for place, value in enumerate(values)]

    return {"answered": line(good, 1 / _BIN_SECONDS), "failed": line(bad, 1 / _BIN_SECONDS)}, {"slowest": line(slow, 1.0)}
