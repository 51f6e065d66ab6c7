"""Builds the pages of evidence: single HTML files with inline SVG, without scripts or external files.
Pure functions: data in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

_WIDTH: Final = 760  # SVG units; the page scales it
_HEIGHT: Final = 160
Point = tuple[float, float]

_STYLE: Final = """body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328;background:#fff}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #d0d7de;vertical-align:top}
svg{width:100%;height:auto;background:#f6f8fa}code{font-size:.9em;overflow-wrap:anywhere}.bad{color:#b42318;font-weight:600}.good{color:#1a7f37}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85em}
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}svg{background:#161b22}td,th{border-color:#30363d}
.bad{color:#ff7b72}.good{color:#3fb950}a{color:#58a6ff}}"""


def html_page(title: str, body: Sequence[str]) -> str:
    """A whole page; the title is escaped, the body is HTML already."""
    return "\n".join([
        "<!doctype html>", '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>", f"<h1>{escape(title)}</h1>", *body, "</body></html>",
    ])  # fmt: skip


def largest_value(lines: Mapping[str, Sequence[Point]], least: float = 0.1) -> float:
    """The largest value of all lines, for a chart's scale."""
    return max([least, *(value for line in lines.values() for _, value in line)])


def chart(lines: Mapping[str, Sequence[Point]], top: float, colors: Mapping[str, str], label: str,
          marks: Mapping[str, float] | None = None) -> str:  # fmt: skip
    """An SVG chart of lines over seconds, with optional vertical marks and their names. `label` describes the chart in words."""
    marks = marks or {}
    end = max([1.0, *(at for line in lines.values() for at, _ in line), *marks.values()])
    drawn = []
    for number, (name, at) in enumerate(sorted(marks.items(), key=lambda mark: mark[1])):
        x = f"{_x(at, end):.1f}"
        drawn.append(f'<line x1="{x}" x2="{x}" y1="0" y2="{_HEIGHT - 20}" stroke="#8c959f" stroke-dasharray="3 3"/>'
                     f'<text x="{x}" y="{11 + 12 * (number % 4)}" dx="3" font-size="10" fill="#8c959f">{escape(name)}</text>')  # fmt: skip
    for name, line in lines.items():
        places = " ".join(f"{_x(at, end):.1f},{_HEIGHT - 20 - value / top * (_HEIGHT - 35):.1f}" for at, value in line)
        drawn.append(
            f'<polyline fill="none" stroke="{colors[name]}" stroke-width="2" points="{places}"><title>{escape(name)}</title></polyline>'
        )
    axis = (f'<text x="2" y="16" font-size="11" fill="#777">{top:.4g}</text><text x="2" y="{_HEIGHT - 20}" font-size="11" fill="#777">0</text>'
            f'<text x="{_WIDTH - 60}" y="{_HEIGHT - 4}" font-size="11" fill="#777">{end:.0f} s</text>')  # fmt: skip
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">{axis}{"".join(drawn)}</svg><p>{escape(label)}</p>'


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already."""
    top = f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>" if head else ""
    return f"<table>{top}{''.join('<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>' for row in rows)}</table>"


def _x(at: float, end: float) -> float:
    return 40 + at / end * (_WIDTH - 50)
