"""Tables of separated values (CSV and the like), converted to Markdown tables, so that a
passage that continues one repeats its head."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from app.text.document import ParsedDocument
from app.text.encoding import decode_text
from app.text.formats.format import Format
from app.text.rejection import broken_file

_SAMPLE_CHARACTERS: Final = 20_000
_SAMPLE_ROWS: Final = 50
_LONGEST_FIELD: Final = 10_000_000  # a whole document in one field is unusual but valid
_DELIMITERS: Final = ",;\t|"
_SAYS_DELIMITER: Final = re.compile(r"\Asep=([,;\t|])\r?\n", re.IGNORECASE)  # Excel's first line
_REMARK: Final = re.compile(r"\A[#\s]+")  # what begins a line of remarks above a table

Row = Sequence[str]


def read(body: bytes, filename: str | None) -> ParsedDocument:
    """Rows as a table; the delimiter is the one with which most of the first rows have equally many fields."""
    text = decode_text(body, filename)
    csv.field_size_limit(_LONGEST_FIELD)
    said = _SAYS_DELIMITER.match(text)
    try:
        delimiter = said[1] if said else _delimiter(text)
        rows = [row for row in _rows(text[said.end() :] if said else text, delimiter) if any(map(str.strip, row))]
    except csv.Error as error:
        raise broken_file(filename, error) from error
    return ParsedDocument(None, "\n".join(sheet(rows)))


def sheet(rows: Sequence[Row]) -> Iterable[str]:
    """The lines of a sheet as Markdown: its table, and as text the lines above and below that fill one cell only, such as a
    title or a remark, which would otherwise be taken for the table's head or a row."""
    lone = [sum(map(bool, map(str.strip, row))) == 1 and bool(row[0].strip()) for row in rows]
    first = next((place for place, one in enumerate(lone) if not one), 0)
    last = len(rows) - next((place for place, one in enumerate(reversed(lone)) if not one), 0)
    above, below = ([_REMARK.sub("", " ".join(row[0].split())) for row in part] for part in (rows[:first], rows[last:]))
    yield from (*above, *([""] if above else []))
    yield from markdown_table(rows[first:last])
    yield from (*([""] if below else []), *below)


def markdown_table(rows: Sequence[Row]) -> Iterable[str]:
    """The lines of a Markdown table; the first row is its head."""
    width = max(map(len, rows), default=0)
    for number, row in enumerate(rows):
        cells = (" ".join(cell.replace("|", r"\|").split()) for cell in (*row, *[""] * (width - len(row))))
        yield f"| {' | '.join(cells)} |"
        if number == 0:
            yield f"|{' --- |' * width}"


def _rows(text: str, delimiter: str) -> Iterable[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)


def _delimiter(text: str) -> str:
    """Fields in quotation marks may contain any mark, so each delimiter is tried rather than counted."""

    def agreement(mark: str) -> float:
        rows = [row for row in _rows(text[:_SAMPLE_CHARACTERS], mark) if any(map(str.strip, row))][:_SAMPLE_ROWS]
        width, equal = Counter(map(len, rows)).most_common(1)[0] if rows else (1, 0)
        return equal / len(rows) if width > 1 else 0.0

    return max(_DELIMITERS, key=agreement)


FORMAT: Final = Format("CSV", "text/csv", ("csv", "tsv"), read, declared=("text/tab-separated-values",), text=True)
