"""Text analysis: turns text into search terms, in the same way for both search engines, for indexed text and for queries.

Words are folded (app/text/folding.py), and English words are stemmed (Porter, by SQLite's tokenizer). Scripts without spaces are
cut into pairs of characters. An identifier gives its parts and the whole: `ERR-4032` gives err, 4032 and err4032; `maxTokens`
and `max_tokens` give maxtoken, max and token. The analysis is done here so that every distribution of Elasticsearch gets the
same terms (docs/decisions/0002-fusion.md).
"""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Final, cast

import apsw

from app.text.folding import fold

TOKENIZER: Final = ("porter", "unicode61", "remove_diacritics", "2")  # for indexes made before the service analysed words itself
MAX_QUERY_WORDS: Final = 256  # a question has tens; more only costs time, and Elasticsearch refuses thousands of clauses
_CACHED_WORDS: Final = 50_000  # about as many as a corpus of prose has; takes 10 MB
_LONGEST_IDENTIFIER: Final = 40
# Combining marks and invisible characters that occur inside words, and the scripts whose vowels are marks.
_MARKS: Final = "\u00ad\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0900-\u0dff\u0e31-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ecd\u1000-\u109f\u1780-\u17d3\u200c\u200d\u3099\u309a"
# Scripts without spaces between words: Thai, Lao, Khmer, Myanmar, kana, Han, Hangul, half-width kana.
_DENSE: Final = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ecd\u1000-\u109f\u1780-\u17d3\u3041-\u309a\u30a1-\u30fc\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003134f"
_COMPOUND: Final = re.compile(rf"[\w{_MARKS}]+(?:[-./][\w{_MARKS}]+)*")
_PART: Final = re.compile(r"[^-./]+")
_RUN: Final = re.compile(rf"[{_DENSE}]+|[^{_DENSE}]+")
_DENSE_RUN: Final = re.compile(rf"[{_DENSE}]")
# Shorter parts of a camelCase name, such as Mc, De or is, would match unrelated texts.
_NAME_PARTS: Final = re.compile(r"[A-Z][a-z]{2,}|[a-z]{3,}|[A-Z]{3,}(?![a-z])")

# English function words. They are left out of queries only; the index contains them.
STOP_WORDS: Final = frozenset(
    """a about above after again against all also am an and any are as at be because been before being below between both
    but by can could d did do does doing don down during each e few for from further g had has have having he her here hers
    herself him himself his how i if in into is it its itself just ll m may me might more most must my myself no nor not now
    of off on once only or other ought our ours ourselves out over own re s same shall she should so some such t than that
    the their theirs them themselves then there these they this those through to too under until up upon us ve very was we
    were what when where whether which while who whom whose why will with would you your yours yourself yourselves""".split()  # noqa: SIM905 - read as words
)

_local = threading.local()


def storable_text(text: str) -> str:
    """The same text in characters every engine can store: no lone surrogates (JSON may carry them), no NUL."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")


def index_terms(text: str) -> list[str]:
    """Every term to index for a text, in order."""
    return [term for _, _, term in _terms(storable_text(text), indexing=True)]


def query_words(text: str) -> list[tuple[str, str]]:
    """(word, term) for each term that a query searches for. Stop words are left out unless there
    are no others; repeated words count again.

    An engine that stems by itself needs the words, because the stem of a stem may differ ("lighthouse", "lighthous", "lighthou").
    """
    text = storable_text(text)
    words = [(text[start:end], term) for start, end, term in _terms(text, indexing=False)]
    telling = [pair for pair in words if pair[0].lower() not in STOP_WORDS]
    return (telling or words)[:MAX_QUERY_WORDS]


def query_terms(text: str) -> list[str]:
    """The terms of a query alone, for an index that was built from terms."""
    return [term for _, term in query_words(text)]


def compounds(text: str) -> Iterator[tuple[int, str]]:
    """(position, text) of each compound: words joined by a hyphen, a point or a slash, or a run of a script without spaces."""
    for found in _COMPOUND.finditer(text):
        yield found.start(), found.group()


def runs(compound: str) -> Iterator[tuple[str, bool]]:
    """(part, dense) for each part of a compound; `dense`: the part is in a script without spaces between words."""
    for part in _PART.findall(compound):
        for run in _RUN.findall(part):
            yield run, _DENSE_RUN.match(run) is not None


def highlight(text: str, wanted: Collection[str]) -> str:
    """`text` as HTML: words with a wanted term in <mark>, everything else escaped."""
    text, done, parts = storable_text(text), 0, list[str]()
    for start, end, term in sorted(_terms(text, indexing=False)):
        if term in wanted and end > done:
            start = max(start, done)
            parts += (html.escape(text[done:start]), "<mark>", html.escape(text[start:end]), "</mark>")
            done = end
    return "".join((*parts, html.escape(text[done:]))).replace("</mark><mark>", "")


def _terms(text: str, *, indexing: bool) -> Iterator[tuple[int, int, str]]:
    """(start, end, term) of each term; `start` and `end` are offsets in characters of the text."""
    for compound in _COMPOUND.finditer(text):
        start, whole = compound.start(), compound.group()
        parts = list(_PART.finditer(whole))
        for part in parts:
            for run in _RUN.finditer(part.group()):
                first = start + part.start() + run.start()
                if _DENSE_RUN.match(run.group()):
                    yield from _pairs(run.group(), first, indexing=indexing)
                else:
                    for term in word_terms(run.group()):
                        yield first, first + len(run.group()), term
        if len(parts) > 1 and len(whole) <= _LONGEST_IDENTIFIER and any(map(str.isdigit, whole)):
            yield start, compound.end(), _identifier(whole)


def _pairs(run: str, first: int, *, indexing: bool) -> Iterator[tuple[int, int, str]]:
    """Overlapping pairs of characters; also single characters for the index, or when the run is only one."""
    for place in range(len(run) - 1):
        yield first + place, first + place + 2, fold(run[place : place + 2])
    if indexing or len(run) == 1:
        for place, character in enumerate(run):
            yield first + place, first + place + 1, fold(character)


def _identifier(whole: str) -> str:
    """The parts of an identifier joined into one term; a number keeps its points: 6.10 is not 610."""
    folded = fold(whole)
    return folded if folded.replace(".", "").isdigit() else "".join(_PART.findall(folded))


@lru_cache(_CACHED_WORDS)
def word_terms(word: str) -> tuple[str, ...]:
    """The terms of a word in a script with spaces: the folded and stemmed word, and the
    parts of a camelCase or snake_case name."""
    itself = _stem(fold(word).replace("_", ""))
    parts = _NAME_PARTS.findall(word) if "_" in word or not (word.islower() or word.isupper() or word.istitle()) else []
    named = [_stem(fold(part)) for part in parts] if len(parts) > 1 else []
    return tuple(dict.fromkeys(term for term in (itself, *named) if term))


def _stem(word: str) -> str:
    if not word.isascii():
        return word
    if not hasattr(_local, "tokenizer"):
        _local.connection = apsw.Connection(":memory:")  # a tokenizer belongs to a connection, which only one thread may use
        _local.tokenizer = _local.connection.fts5_tokenizer(TOKENIZER[0], list(TOKENIZER[1:]))
    found = cast(
        "list[tuple[int, int, str]]", _local.tokenizer(word.encode(), apsw.FTS5_TOKENIZE_DOCUMENT, None, include_colocated=False)
    )
    return "".join(stem for _, _, stem in found)
