"""Tables of separated values (CSV and the like), converted to Markdown tables, so that a
passage that continues one repeats its head."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from app.text.document import ParsedDocument
from app.text.encoding import decode_text
from app.text.formats.format import Format
from app.text.rejection import broken_file

_SAMPLE_CHARACTERS: Final = 20_000
_LONGEST_FIELD: Final = 10_000_000  # a whole document in one field is unusual but valid
_DELIMITERS: Final = ",;\t|"


def read(body: bytes, filename: str | None) -> ParsedDocument:
    """Rows as a table; the delimiter is the one that most of the first lines agree on."""
    text = decode_text(body, filename)
    csv.field_size_limit(_LONGEST_FIELD)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)) if any(map(str.strip, row))]
    except csv.Error as error:
        raise broken_file(filename, error) from error
    return ParsedDocument(None, "\n".join(markdown_table(rows)))


def markdown_table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """The lines of a Markdown table; the first row is its head."""
    width = max(map(len, rows), default=0)
    for number, row in enumerate(rows):
        cells = (" ".join(cell.replace("|", r"\|").split()) for cell in (*row, *[""] * (width - len(row))))
        yield f"| {' | '.join(cells)} |"
        if number == 0:
            yield f"|{' --- |' * width}"


def _delimiter(text: str) -> str:
    lines = [line for line in text[:_SAMPLE_CHARACTERS].splitlines() if line.strip()][:20]
    counts = {mark: [line.count(mark) for line in lines] for mark in _DELIMITERS}
    return max(
        _DELIMITERS,
        key=lambda mark: (
            min(counts[mark], default=0) > 0,
            sum(n == counts[mark][0] for n in counts[mark]) if any(counts[mark]) else 0,
        ),
    )


FORMAT: Final = Format("CSV", "text/csv", ("csv", "tsv"), read, declared=("text/tab-separated-values",), text=True)
