"""Prepares the tables of a web page for conversion to Markdown, whose tables have one line of heads and no cells that span others.

A cell that spans rows or columns is repeated in each of them, and several lines of heads become one ("Sundays" above "Last boat"
gives "Sundays Last boat"). A table that contains another one only arranges the page, and its cells become paragraphs. Tags are
found in one pass and by their names alone, because pages are users' and no parser may be slow on a hostile one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_TAG: Final = re.compile(r"<(/?)(table|thead|tbody|tfoot|tr|td|th)(?![\w-])([^<>]{0,2000})>", re.IGNORECASE)
_MARKUP: Final = re.compile(r"<[^<>]{0,2000}>")
_SPAN: Final = re.compile(r"\b(row|col)span\s{0,5}=\s{0,5}[\"']?\s{0,5}(\d{1,5})", re.IGNORECASE)
_LAYOUT: Final = re.compile(r"\brole\s{0,5}=\s{0,5}[\"']?(?:presentation|none)\b", re.IGNORECASE)
_BORDER: Final = "<div></div>"  # what stands between the cells of a table that only arranges the page
_MOST_COLUMNS: Final = 200  # of a table that is changed; wider ones are left as they are
_MOST_HEADS: Final = 4  # lines of heads; a table of nothing but heads is a table of data
_LONGEST_REPEATED: Final = 300  # characters of a cell; a longer one is text and not repeated
_MOST_GROWTH: Final = 10  # times its size; a table that would grow more by repeating its cells is left as it is
_CELL_CHARACTERS: Final = 10  # of markup around each cell


@dataclass(slots=True)
class _Cell:
    html: str
    is_head: bool
    rows: int
    columns: int


@dataclass(slots=True)
class _Table:
    start: int
    inside: int  # where the text after its first tag begins
    attributes: str
    tags: list[re.Match[str]] = field(default_factory=list)  # its own, without those of tables in its cells
    nests: bool = False


def prepare_tables(html: str) -> str:
    """The page with tables that Markdown can say."""
    if "<table" not in html.lower():
        return html
    html = _without_comments(html)
    changes = list[tuple[int, int, str]]()
    opened = list[_Table]()
    for tag in _TAG.finditer(html):
        closes, name = bool(tag[1]), tag[2].lower()
        if name == "table" and not closes:
            if opened:
                opened[-1].nests = True
            opened.append(_Table(tag.start(), tag.end(), tag[3]))
        elif name == "table" and opened:
            changes += _changed(html, opened.pop(), tag.start(), tag.end())
        elif opened:
            opened[-1].tags.append(tag)
    parts, done = list[str](), 0
    for start, end, text in sorted(changes):
        parts += (html[done:start], text)
        done = end
    return "".join((*parts, html[done:]))


def _changed(html: str, table: _Table, end: int, after: int) -> list[tuple[int, int, str]]:
    """(start, end, replacement) for each part of the page that changes."""
    if table.nests or _LAYOUT.search(table.attributes):
        tags = [(table.start, table.inside), *(tag.span() for tag in table.tags), (end, after)]
        return [(first, last, _BORDER) for first, last in tags]
    rows, caption = _rows(html, table, end)
    spans = any(cell.rows > 1 or cell.columns > 1 for row in rows for cell in row)
    heads = next((place for place, row in enumerate(rows) if not all(cell.is_head for cell in row)), 0)
    heads = heads if heads <= _MOST_HEADS else 0
    if not spans and heads < 2:
        return []
    width = max(sum(cell.columns for cell in row) for row in rows)
    if width > min(_MOST_COLUMNS, _MOST_GROWTH * (after - table.start) // _CELL_CHARACTERS):
        return []
    above = ""
    while rows and len(rows[0]) == 1 and rows[0][0].columns > 1:  # a title over all columns
        above += f"<p>{rows.pop(0)[0].html}</p>"
        heads = max(0, heads - 1)
    for row in rows:
        if len(row) == 1:  # a heading between rows
            row[0].columns = 1
    grid = _grid(rows, _MOST_GROWTH * (after - table.start))
    if grid is None:
        return []
    if heads > 1:
        columns = range(max(map(len, grid[:heads])))
        said = [_joined([row[place].html for row in grid[:heads] if place < len(row)]) for place in columns]
        grid[:heads] = [[_Cell(words, True, 1, 1) for words in said]]
    return [(table.start, after, above + _written(caption, grid))]


def _rows(html: str, table: _Table, end: int) -> tuple[list[list[_Cell]], str]:
    """(rows, what stands before the first of them)"""
    rows, caption = list[list[_Cell]](), html[table.inside : table.tags[0].start() if table.tags else end]
    for place, tag in enumerate(table.tags):
        name = tag[2].lower()
        if tag[1]:
            continue
        if name == "tr" or (name in ("td", "th") and not rows):
            rows.append([])
        if name in ("td", "th"):
            until = table.tags[place + 1].start() if place + 1 < len(table.tags) else end
            spans = {which.lower(): int(many) for which, many in _SPAN.findall(tag[3])}
            rows[-1].append(_Cell(html[tag.end() : until], name == "th", spans.get("row", 1) or 1_000, spans.get("col", 1) or 1))
    return [row for row in rows if row], caption


def _grid(rows: list[list[_Cell]], most: int) -> list[list[_Cell]] | None:
    """The rows with every cell repeated where it spans; None when they would have more than `most` characters."""
    below = dict[int, tuple[int, _Cell]]()  # by column: for how many more rows a cell above goes on
    grid, size = list[list[_Cell]](), 0
    for row in rows:
        line, cells, reach = list[_Cell](), list(reversed(row)), max(below, default=-1)
        while len(line) < _MOST_COLUMNS:
            if len(line) in below:
                left, above = below.pop(len(line))
                if left > 1:
                    below[len(line)] = (left - 1, above)
                line.append(above)
            elif cells:
                cell = cells.pop()
                again = cell if len(cell.html) <= _LONGEST_REPEATED else _Cell("", cell.is_head, 1, 1)
                for number in range(min(cell.columns, _MOST_COLUMNS - len(line))):
                    if cell.rows > 1:
                        below[len(line)] = (cell.rows - 1, again)
                    line.append(again if number else cell)
            elif reach >= len(line):
                line.append(_Cell("", False, 1, 1))
            else:
                break
        grid.append(line)
        size += sum(len(cell.html) + _CELL_CHARACTERS for cell in line)
        if size > most:
            return None
    return grid


def _joined(heads: list[str]) -> str:
    """The heads of a column, from top to bottom, each once."""
    return " ".join({" ".join(_MARKUP.sub(" ", one).split()): None for one in heads if _MARKUP.sub("", one).strip()})


def _written(caption: str, rows: list[list[_Cell]]) -> str:
    lines = ("".join(f"<th>{cell.html}</th>" if cell.is_head else f"<td>{cell.html}</td>" for cell in row) for row in rows)
    return f"<table>{caption}{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _without_comments(html: str) -> str:
    parts, done = list[str](), 0
    while (start := html.find("<!--", done)) >= 0 and (end := html.find("-->", start)) >= 0:
        parts.append(html[done:start])
        done = end + 3
    return "".join((*parts, html[done:]))
