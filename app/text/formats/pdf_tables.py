"""Finds tables on a page of a PDF by where its words stand, because the file itself only says which letters are drawn where.

Words that stand close together on one line are a fragment. Where fragments of three lines or more stand in columns, one below the
other, they are a table: of two columns a list of `label: value` lines, of more a Markdown table. Columns of prose are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

from app.text.formats.table import markdown_table

# Lengths are measured in the page's usual width of a letter, which is about half of its size.
_CELL_GAP: Final = 2.4  # between two words: a space takes 0.6, in justified lines up to 2
_CLOSE_GAP: Final = 1.05  # between cells of a narrow table, whose columns must be in line
_IN_LINE: Final = 0.4  # between the left ends, right ends or middles of a column's cells
_SAME_LINE: Final = 0.8  # between two baselines
_ROW_GAP: Final = 8.0  # from one row to the next: three lines
_LETTERS_TOGETHER: Final = 10  # a long line tells more about the usual letter than a short one
_WIDE: Final = 1.45  # times the usual width of a letter, on a line with gaps; typewriter letters are 1.3 times as wide
_FEWEST_ROWS: Final = 3
_MOST_COLUMNS: Final = 20
# Letters: longer fragments in two columns or more are columns of prose, or of a table if the file draws it row by row.
_PROSE: Final = 18
_PROSE_IN_ROWS: Final = 60
_TYPEWRITER: Final = 0.08  # the spread of the width of letters, as a share of it; in proportional type it is 0.2
_MOST_WORDS: Final = 5_000  # of a page that is looked at; a page of prose has 500
_MARK: Final = re.compile(r"\A(?:[-–—*•·▪●○■□§]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]{1,2})\Z")
_LEADER: Final = re.compile(r"\.{4}|(?:\. ){3}|…{2}")


class PdfWord(NamedTuple):  # made four times as fast as a dataclass, and there are hundreds on a page
    """A word of a page: its line in the file's order and its place in it, and where it stands on the page."""

    text: str
    line: int
    place: int
    left: float
    right: float
    baseline: float


class LineSpan(NamedTuple):
    """A line in the file's order: where it begins, ends and stands, and its number of letters."""

    left: float
    right: float
    bottom: float
    letters: int


@dataclass(slots=True)
class _Fragment:
    words: list[PdfWord]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def left(self) -> float:
        return self.words[0].left

    @property
    def right(self) -> float:
        return max(word.right for word in self.words)


@dataclass(frozen=True, slots=True)
class PdfTable:
    """A table as text, and the words that are in it."""

    text: str
    words: frozenset[PdfWord]


def may_have_table(lines: Sequence[LineSpan]) -> bool:
    """Whether a page may have tables: some lines have wide gaps, or stand beside others. Pages of prose have none of either."""
    if not lines:
        return False
    unit = median((line.right - line.left) / line.letters for line in lines for _ in range(1 + line.letters // _LETTERS_TOGETHER))
    wide = sum(line.right - line.left > _WIDE * unit * line.letters for line in lines)
    beside = len(lines) - len({round(line.bottom / max(unit, 0.1)) for line in lines})
    return wide >= _FEWEST_ROWS - 1 or beside >= _FEWEST_ROWS


def find_tables(words: Sequence[PdfWord]) -> list[PdfTable]:
    """The tables of a page, from top to bottom."""
    if not 2 * _FEWEST_ROWS <= len(words) <= _MOST_WORDS:
        return []
    unit = median((word.right - word.left) / len(word.text) for word in words)
    if unit <= 0 or not _is_level(words, unit):
        return []
    wide = list(_tables(words, unit, _CELL_GAP))
    used = frozenset(word for table in wide for word in table.words)
    return [*wide, *_tables([word for word in words if word not in used], unit, _CLOSE_GAP)]


def _tables(words: Sequence[PdfWord], unit: float, gap: float) -> Iterator[PdfTable]:
    for run in _runs(_rows(words, unit, gap), unit):
        while len(run) >= _FEWEST_ROWS:
            cells, used = _columns(run)
            whole = _whole_rows(run[:used], len(cells[0])) if cells else used
            rows = run[:whole]
            if cells and _is_table(cells[:whole], rows) and (gap >= _CELL_GAP or _in_line(rows, unit)):
                yield PdfTable(_written(cells[:whole]), frozenset(word for row in rows for one in row for word in one.words))
            run = run[max(used, 1) :] if whole == used else []


def _whole_rows(rows: Sequence[list[_Fragment]], width: int) -> int:
    """How many rows there are before the first one, below the head, that has no cell in some column. Nothing is read from there on: where
    cells have several lines nobody can say which of them stand in one row, and a lawn mower had the hedge trimmer's service. The rest
    stays as the file draws it, which is mostly row by row."""
    return next((place for place, row in enumerate(rows) if place and len(row) != width), len(rows))


def _in_line(rows: Sequence[list[_Fragment]], unit: float) -> bool:
    """Whether every row has a cell in every column, and below the first row, which may be a head, the cells of each column begin,
    end or have their middle in one line."""
    if len({len(row) for row in rows}) > 1 or not _in_rows(rows) or _is_typewriter(rows):
        return False
    for column in zip(*rows[1:], strict=True):
        ends = (
            [cell.left for cell in column],
            [cell.right for cell in column],
            [(cell.left + cell.right) / 2 for cell in column],
        )
        if min(max(one) - min(one) for one in ends) > _IN_LINE * unit:
            return False
    return True


def _is_level(words: Sequence[PdfWord], unit: float) -> bool:
    """Whether the words of a line stand beside each other, and not above each other as on a page of turned text."""
    pairs = [(one, other) for one, other in pairwise(words) if one.line == other.line]
    level = sum(abs(one.baseline - other.baseline) < _SAME_LINE * unit for one, other in pairs)
    return level * 2 >= len(pairs)


def _rows(words: Sequence[PdfWord], unit: float, gap: float) -> list[list[_Fragment]]:
    """The lines as the eye sees them, from top to bottom, each as its fragments from left to right."""
    rows = list[list[PdfWord]]()
    for word in sorted(words, key=lambda one: -one.baseline):
        if not rows or rows[-1][0].baseline - word.baseline > _SAME_LINE * unit:
            rows.append([])
        rows[-1].append(word)
    return [_fragments(sorted(row, key=lambda one: one.left), gap * unit) for row in rows]


def _fragments(row: Sequence[PdfWord], gap: float) -> list[_Fragment]:
    found = list[_Fragment]()
    for word in row:
        if found and word.left - found[-1].words[-1].right < gap:
            found[-1].words.append(word)
        else:
            found.append(_Fragment([word]))
    return found


def _runs(rows: Sequence[list[_Fragment]], unit: float) -> Iterator[list[list[_Fragment]]]:
    """Rows of several fragments below one another, with lines between them that go on in one column."""
    run = list[list[_Fragment]]()
    above = 0.0
    for row in rows:
        near = run and above - row[0].words[0].baseline <= _ROW_GAP * unit
        if run and not (near and (len(row) > 1 or _goes_on(row[0], run[-1]))):
            yield run
            run = []
        if len(row) > 1 or run:
            run.append(row)
            above = row[0].words[0].baseline
    if run:
        yield run


def _goes_on(one: _Fragment, above: Sequence[_Fragment]) -> bool:
    """Whether a line is the rest of a cell above it: it stands below one cell, and not below the first unless a sentence goes on."""
    below = [place for place, cell in enumerate(above) if one.left < cell.right and cell.left < one.right]
    return len(below) == 1 and (below[0] > 0 or len(above) == 1 or one.text[:1].islower())


def _columns(run: Sequence[list[_Fragment]]) -> tuple[list[list[str]], int]:
    """(cells of the first rows of a run that share columns, number of those rows). The first row may have fewer cells: a head with
    nothing over its first column."""
    found = [_grown(run, width) for width in {len(run[0]), len(run[1])} if 2 <= width <= _MOST_COLUMNS]
    return max(found, key=lambda one: len(one[0]), default=([], 1))


def _grown(run: Sequence[list[_Fragment]], width: int) -> tuple[list[list[str]], int]:
    first = next(row for row in run[:2] if len(row) == width)
    edges = [(cell.left, cell.right) for cell in first]
    cells = list[list[str]]()
    for used, row in enumerate(run):
        if len(row) == width:
            edges = [(min(left, cell.left), max(right, cell.right)) for cell, (left, right) in zip(row, edges, strict=True)]
            if any(one[1] > other[0] for one, other in pairwise(edges)):
                return cells, used
        placed = [_nearest(cell, edges) for cell in row]
        if None in placed or len(set(placed)) < len(placed):
            return cells, used
        line = [""] * width
        for place, cell in zip(placed, row, strict=True):
            line[place or 0] = cell.text
        cells.append(line)
    return cells, len(run)


def _nearest(cell: _Fragment, edges: Sequence[tuple[float, float]]) -> int | None:
    """The column that a cell stands in; None when it reaches over several."""
    over = [place for place, (left, right) in enumerate(edges) if cell.left < right and left < cell.right]
    if len(over) > 1:
        return None
    return over[0] if over else min(range(len(edges)), key=lambda place: abs(edges[place][0] - cell.left))


def _is_table(cells: Sequence[Sequence[str]], rows: Sequence[list[_Fragment]]) -> bool:
    columns = list(zip(*cells, strict=True))
    most = _PROSE_IN_ROWS if _in_rows(rows) else _PROSE
    long = sum(sum(map(len, column)) > most * sum(map(bool, column)) for column in columns)
    marks = sum(_MARK.match(cell) is not None for cell in columns[0]) * 2 > len(cells)
    leaders = sum(_LEADER.search(" ".join(row)) is not None for row in cells) * 2 > len(cells)
    head = all(cells[0][1:])  # only over the labels may nothing stand
    return len(cells) >= _FEWEST_ROWS and head and long < 2 and not marks and not leaders


def _in_rows(rows: Sequence[list[_Fragment]]) -> bool:
    """Whether the file draws each row before the next one."""
    lines = [[cell.words[0].line for cell in row] for row in rows]
    return all(max(row) <= min(below) for row, below in pairwise(lines))


def _is_typewriter(rows: Sequence[list[_Fragment]]) -> bool:
    """Whether every letter is equally wide, as in a program, where words below each other are no table."""
    widths = sorted(
        (word.right - word.left) / len(word.text) for row in rows for cell in row for word in cell.words if len(word.text) > 2
    )
    quarter = len(widths) // 4
    return not widths or widths[-1 - quarter] - widths[quarter] < _TYPEWRITER * widths[len(widths) // 2]


def _written(rows: Sequence[Sequence[str]]) -> str:
    if len(rows[0]) == 2:
        return "\n".join(f"{label.rstrip(':')}: {value}" if label and value else label or value for label, value in rows)
    return "\n".join(markdown_table(rows))
