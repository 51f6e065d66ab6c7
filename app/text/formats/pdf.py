"""PDF, read with PDFium: text page by page, without running heads and page numbers, and with hyphenated words rejoined."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from app.errors import DocumentRejected
from app.text.document import ParsedDocument
from app.text.formats.format import NO_TITLE, Format
from app.text.formats.pdf_tables import LineSpan, PdfWord, find_tables, may_have_table
from app.text.rejection import broken_file, called

_EDGE_SHARE: Final = 0.085  # of the page's height: 2.5 cm of A4, the usual margin
_HEAD_PAGES: Final = 3  # a line that fewer pages share may be the text's own, unless both of two pages do
_HEAD_SHARE: Final = 0.25  # of the pages: left and right pages and chapters have different heads
_SHORT_LINE: Final = 0.7  # of the page's usual line length: a shorter line ends a paragraph
_FULL_LINE: Final = 0.9  # the quantile of line lengths that counts as the usual length
_TITLE_CHARACTERS: Final = 2_000  # of the first page, among which the title is searched by letter size
_TITLE_LARGER: Final = 1.15  # times the size of the page's usual letters
_NAMED_WARNINGS: Final = 20  # the most page numbers that a warning names
_CUT_WORD: Final = "\x02"  # the character that PDFium writes for a hyphen at a line end
_DIGITS: Final = re.compile(r"\d{1,9}")
_PAGE_NUMBER: Final = re.compile(
    r"\A[-–—\s]{0,4}(?:(?:page|seite|p\.)\s{1,4})?(?:\d{1,5}|[ivxlc]{1,8})(?:\s{0,3}(?:/|of|von)\s{0,3}\d{1,5})?[-–—\s]{0,4}",
    re.IGNORECASE,
)
# What browsers print above and below a page: when, its title, its address.
_PRINTED: Final = re.compile(
    r"\A(?:\d{1,4}[./-]\d{1,2}[./-]\d{1,4},? \d{1,2}[:.]\d\d(?: [AP]M)?\b.{0,300}|(?:https?|file)://\S{1,500}(?: \d{1,4}/\d{1,4})?)\Z"
)
_SOFT_HYPHENS: Final = re.compile("[\u00ad\u2010]\\Z")  # at a line's end they cut a word, as PDFium's own mark does
_CUT_NAME: Final = re.compile(rf"{_CUT_WORD}\s{{0,2}}(?=[^\W\d_a-zà-ÿ])")  # a name such as Saint-Aubin keeps its hyphen
_HYPHENATED: Final = re.compile(r"-\n(?=\w)")
_NO_WORD: Final = re.compile(r"\W")
_LONGEST_PART: Final = 40  # characters of a word before and after its hyphen; words of prose are shorter
_ENDS: Final = (".", "!", "?", ":", "。", "！", "？", "”", '"', ")")
_LIGATURES: Final = str.maketrans(
    {
        "ﬀ": "ff",
        "ﬁ": "fi",
        "ﬂ": "fl",
        "ﬃ": "ffi",
        "ﬄ": "ffl",
        "ﬅ": "st",
        "ﬆ": "st",
        "\ufffe": _CUT_WORD,  # PDFium's other character for a hyphen at a line end
        "\uffff": None,
    }
)
_WORD: Final = re.compile(r"(?:\S|[\x0b\x0c\x0e\x0f\x1b-\x1f]){1,200}")
_MOST_LETTERS: Final = 50_000  # of a page that may have tables; a page of small print has 10,000
_FORMS: Final = (1, 3)  # PDFium's numbers of forms whose fields it can draw: AcroForm, and XFA that has one too
# Where TeX's fonts have their ligatures; a file whose fonts are pictures does not say which letters they are.
_TEX_LIGATURES: Final = dict(
    zip("\x0b\x0c\x0e\x0f\x1b\x1c\x1d\x1e\x1f", ("ff", "fi", "ffi", "ffl", "ff", "fi", "fl", "ffi", "ffl"), strict=True)
)
_TEX_LIGATURE: Final = re.compile(r"[\x0b\x0c\x0e\x0f\x1b-\x1f](?=[a-z])|(?<=[A-Za-z])[\x0b\x0c\x0e\x0f\x1b-\x1f]")
_FILE_SUFFIXES: Final = frozenset("doc docx xls xlsx ppt pptx odt rtf tex dvi indd qxd ps html htm txt md pdf fm".split())  # noqa: SIM905 - read as words


@dataclass(frozen=True, slots=True)
class PdfLine:
    """One line of a page, or a table. `at_edge`: it stands where running heads, feet and page numbers do."""

    text: str
    at_edge: bool = False
    is_table: bool = False


def read(body: bytes, filename: str | None) -> ParsedDocument:
    """Title, text and the start of each page. When only some pages have no text, a warning names them."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(body)
        has_form = document.get_formtype() in _FORMS
        if has_form:
            document.init_forms()
        lines = [_lines(_flat(document, number) if has_form else document[number], has_form) for number in range(len(document))]
        title = _title(document, filename)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise DocumentRejected(f"{called(filename)} is encrypted: send it without a password.") from error
        raise broken_file(filename, error) from error
    heads = running_heads(lines)
    text, starts = join_pages([_without(page, heads) for page in lines], frozenset(_tables(lines)))
    empty = [number for number, page in enumerate(lines, 1) if not page]
    warnings = (_said(empty, len(lines)),) if empty and len(empty) < len(lines) else ()
    return ParsedDocument(title, text, starts, warnings)


def _flat(document: Any, number: int) -> Any:
    """A page on which the values of form fields are text."""
    page = document[number]
    page.flatten()
    page.close()
    return document[number]


def _lines(page: Any, has_form: bool) -> list[PdfLine]:
    words = page.get_textpage()
    text, height = words.get_text_range(), page.get_height()
    exact = len(text) == words.count_chars()  # otherwise offsets in the text do not match PDFium's characters
    found, place, spans, inner = list[PdfLine](), 0, list[LineSpan](), list[tuple[str, int, int]]()
    for piece in text.split("\n"):
        line = _SOFT_HYPHENS.sub(_CUT_WORD, _spelled(piece).strip()).replace("\u00ad", "")
        if line:
            first, after = place + len(piece) - len(piece.lstrip()), place + len(piece.rstrip())
            at_edge = exact and _at_edge(words, first, height)
            if exact and not at_edge:
                left, bottom, _, _ = words.get_charbox(first)
                spans.append(LineSpan(left, words.get_charbox(after - 1)[2], bottom, len(line)))
                inner.append((piece, place, len(found)))
            found.append(PdfLine(line, at_edge))
        place += len(piece) + 1
    if len(text) <= _MOST_LETTERS and (
        has_form or may_have_table(spans)
    ):  # where every word stands takes three times as long to ask as the text
        found = _with_tables(found, [word for piece in inner for word in _words(words, *piece)])
    words.close()
    page.close()
    return found


def _words(page: Any, piece: str, place: int, line: int) -> Iterator[PdfWord]:
    """Where the words of a line stand. `place`: of its first character in the page's text."""
    from ctypes import byref, c_double

    from pypdfium2 import raw

    left, right, baseline, unused = c_double(), c_double(), c_double(), c_double()
    to_left, to_right, to_baseline, to_unused = byref(left), byref(right), byref(baseline), byref(unused)
    origin, box, handle = raw.FPDFText_GetCharOrigin, raw.FPDFText_GetCharBox, page.raw
    plain = piece.isascii() and piece.rstrip("\r").isprintable()
    for found in _WORD.finditer(piece):
        first, after = found.span()
        origin(handle, place + first, to_left, to_baseline)
        box(handle, place + after - 1, to_unused, to_right, to_unused, to_unused)
        text = found[0] if plain else _spelled(found[0]).replace("\u00ad", "")
        if text:
            yield PdfWord(text, line, first, left.value, max(left.value, right.value), baseline.value)


def _with_tables(lines: list[PdfLine], words: Sequence[PdfWord]) -> list[PdfLine]:
    """The lines of a page, with each table in the place of its first word."""
    tables = find_tables(words)
    if not tables:
        return lines
    table_of = {word: table for table in tables for word in table.words}
    by_line = dict[int, list[PdfWord]]()
    for word in words:
        by_line.setdefault(word.line, []).append(word)
    found, written = list[PdfLine](), set[int]()
    for number, line in enumerate(lines):
        own = by_line.get(number, [])
        if not any(word in table_of for word in own):
            found.append(line)
            continue
        rest = list[str]()
        for word in own:
            table = table_of.get(word)
            if table is None:
                rest.append(word.text)
            elif id(table) not in written:
                written.add(id(table))
                found += [*([PdfLine(" ".join(rest))] if rest else []), PdfLine(table.text, is_table=True)]
                rest = []
        found += [PdfLine(" ".join(rest))] if rest else []
    return found


def _tables(pages: Sequence[Sequence[PdfLine]]) -> Iterator[str]:
    return (line.text for page in pages for line in page if line.is_table)


def _spelled(text: str) -> str:
    """The text with ligatures as letters."""
    return _TEX_LIGATURE.sub(lambda found: _TEX_LIGATURES[found[0]], text).translate(_LIGATURES)


def _at_edge(words: Any, place: int, height: float) -> bool:
    _, bottom, _, top = words.get_charbox(place)
    return bool(bottom < _EDGE_SHARE * height or top > (1 - _EDGE_SHARE) * height)


def _shape(line: str) -> str:
    return _DIGITS.sub("#", line)


def running_heads(pages: Sequence[Sequence[PdfLine]]) -> frozenset[str]:
    """The lines, with numbers replaced by `#`, that are at the edge of many pages."""
    counts = Counter(shape for lines in pages for shape in {_shape(line.text) for line in lines if line.at_edge})
    enough = 2 if len(pages) == 2 else max(_HEAD_PAGES, _HEAD_SHARE * len(pages))
    return frozenset(shape for shape, count in counts.items() if count >= enough)


def _without(lines: Sequence[PdfLine], heads: frozenset[str]) -> list[str]:
    return [line.text for line in lines if not (line.at_edge and _is_furniture(line.text, heads))]


def _is_furniture(line: str, heads: frozenset[str]) -> bool:
    return _shape(line) in heads or _PAGE_NUMBER.fullmatch(line) is not None or _PRINTED.match(line) is not None


def join_pages(pages: Sequence[Sequence[str]], tables: frozenset[str] = frozenset()) -> tuple[str, tuple[int, ...]]:
    """(text, start of each page in it). A sentence that continues on the next page is joined. `tables`: the lines that are tables,
    which stay by themselves."""
    known = Counter(word for lines in pages for line in lines for word in line.split())
    parts, starts, size, ended_with_table = list[str](), list[int](), 0, False
    for lines in pages:
        page = _whole_words(_paragraphs(lines, tables), known)
        if parts and page:
            before = parts[-1]
            alone = lines[0] in tables or ended_with_table
            seam = "\n" if before and not before.endswith(_ENDS) and not page[:1].isupper() and not alone else "\n\n"
            if before.endswith(_CUT_WORD):
                parts[-1], size, seam = before[:-1], size - 1, ""
            parts.append(seam)
            size += len(seam)
        starts.append(size)
        if page:
            ended_with_table = lines[-1] in tables
            parts.append(page)
            size += len(page)
    return "".join(parts).replace(_CUT_WORD, ""), tuple(starts)


def _paragraphs(lines: Sequence[str], tables: frozenset[str]) -> str:
    """Join lines into paragraphs: a line that is much shorter than the others ends a paragraph."""
    if not lines:
        return ""
    widths = sorted(len(line) for line in lines if line not in tables) or [0]
    usual = widths[int(_FULL_LINE * (len(widths) - 1))]
    parts = [lines[0]]
    for before, line in pairwise(lines):
        ended = len(before) < _SHORT_LINE * usual and (before.endswith(_ENDS) or not line[:1].islower())
        ended = (ended and not before.endswith(_CUT_WORD)) or before in tables or line in tables
        parts += ("\n\n" if ended else "\n", line)
    return "".join(parts)


def _whole_words(text: str, known: Counter[str]) -> str:
    """Rejoin words that were hyphenated at a line end; the hyphen is kept where the file writes the word with it elsewhere."""
    text = text.replace(f"{_CUT_WORD}\n", _CUT_WORD)
    body = text.rstrip(_CUT_WORD)
    text = "".join(_mended(body, known)) + text[len(body) :]

    def mended(found: re.Match[str]) -> str:
        before = _NO_WORD.split(text[max(0, found.start() - _LONGEST_PART) : found.start()])[-1]
        after = _NO_WORD.split(text[found.end() : found.end() + _LONGEST_PART])[0]
        if not before:
            return found[0]
        return "-" if f"{before}-{after}" in known or not after[:1].islower() else ""

    return _HYPHENATED.sub(mended, text)


def _mended(text: str, known: Counter[str]) -> Iterator[str]:
    pieces = text.split(_CUT_WORD)
    yield pieces[0]
    for before, after in pairwise(pieces):
        left = before[-40:].rpartition(" ")[2].rpartition("\n")[2]
        right = after[:40].split(None, 1)[0] if after[:40].strip() else ""
        kept = f"{left}-{right}" in known or not right[:1].islower()
        yield ("-" if kept else "") + after


def _title(document: Any, filename: str | None) -> str | None:
    told = str(document.get_metadata_value("Title") or "").strip()
    a_name = told.rpartition(".")[2].lower() in _FILE_SUFFIXES or told == (filename or "").rpartition(".")[0]
    if told and not a_name and not NO_TITLE.fullmatch(told):
        return told
    return _largest(document[0]) if len(document) else None


def _largest(page: Any) -> str | None:
    """The line in the largest letters on the first page; None when no line is larger than the rest."""
    import ctypes

    from pypdfium2 import raw

    words = page.get_textpage()
    count = min(words.count_chars(), _TITLE_CHARACTERS)
    text = words.get_text_range(0, count) if count > 0 else ""
    sizes = [round(raw.FPDFText_GetFontSize(words, ctypes.c_int(place)), 1) for place in range(count)]
    usual = Counter(sizes).most_common(1)[0][0] if sizes else 0.0
    largest = max(sizes, default=0.0)
    if not sizes or len(text) != count or largest < _TITLE_LARGER * usual:
        return None
    first = sizes.index(largest)
    last = next((place for place in range(first, count) if sizes[place] != largest and not text[place].isspace()), count)
    title = " ".join(_CUT_NAME.sub("-", _spelled(text[first:last])).replace(_CUT_WORD, "").split())
    return title if 3 <= len(title) <= 200 and any(map(str.isalpha, title)) else None


def _said(empty: Sequence[int], pages: int) -> str:
    named = ", ".join(map(str, empty[:_NAMED_WARNINGS])) + (" and others" if len(empty) > _NAMED_WARNINGS else "")
    what = f"Page {named} has" if len(empty) == 1 else f"Pages {named} have"
    return f"{what} no text (of {pages} pages): a scan needs text recognition first."


FORMAT: Final = Format("PDF", "application/pdf", ("pdf",), read, libraries=("pypdfium2",))
