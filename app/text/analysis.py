"""How text becomes searchable words: one analysis for both engines, for what is indexed and for what is asked.

Words are folded (app/text/folding.py) and English ones stemmed (Porter, by SQLite's tokenizer). Scripts without spaces are cut into pairs of
characters. An identifier is its parts and itself: `ERR-4032` is err, 4032 and err4032; `maxTokens` and `max_tokens` are maxtoken, max and token.
Doing it here gives every distribution of Elasticsearch the same words: docs/decisions/0002-fusion.md.
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

TOKENIZER: Final = ("porter", "unicode61", "remove_diacritics", "2")  # of indexes made before words were analysed here
MAX_QUERY_WORDS: Final = 256  # a question has tens; more only costs time, and Elasticsearch refuses thousands of clauses
_CACHED_WORDS: Final = 50_000  # a corpus of prose has as many; 10 MB
_LONGEST_IDENTIFIER: Final = 40
# Marks that stand inside words, and the scripts whose vowels are marks.
_MARKS: Final = "\u00ad\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0900-\u0dff\u0e31-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ecd\u1000-\u109f\u1780-\u17d3\u200c\u200d\u3099\u309a"
# Thai, Lao, Khmer, Myanmar, kana, Han, Hangul, half-width kana.
_DENSE: Final = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ecd\u1000-\u109f\u1780-\u17d3\u3041-\u309a\u30a1-\u30fc\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003134f"
_COMPOUND: Final = re.compile(rf"[\w{_MARKS}]+(?:[-./][\w{_MARKS}]+)*")
_PART: Final = re.compile(r"[^-./]+")
_RUN: Final = re.compile(rf"[{_DENSE}]+|[^{_DENSE}]+")
_DENSE_RUN: Final = re.compile(rf"[{_DENSE}]")
# Shorter parts of a name are Mc, De, is: they find the wrong things.
_NAME_PARTS: Final = re.compile(r"[A-Z][a-z]{2,}|[a-z]{3,}|[A-Z]{3,}(?![a-z])")

# English function words, left out of queries only: a passage still holds them.
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
    """(word, term) of each term a query searches for: without stop words unless it has nothing else; a word said twice counts twice.

    An engine that stems by itself takes the words: Porter's stem of a stem can be another one ("lighthouse", "lighthous", "lighthou").
    """
    text = storable_text(text)
    words = [(text[start:end], term) for start, end, term in _terms(text, indexing=False)]
    telling = [pair for pair in words if pair[0].lower() not in STOP_WORDS]
    return (telling or words)[:MAX_QUERY_WORDS]


def query_stems(text: str) -> list[str]:
    """The terms alone, for an engine that was given terms."""
    return [term for _, term in query_words(text)]


def compounds(text: str) -> Iterator[tuple[int, str]]:
    """(position, text) of each word. Words joined by a hyphen, a point or a slash are one, and so is a run of a script without spaces."""
    for found in _COMPOUND.finditer(text):
        yield found.start(), found.group()


def runs(compound: str) -> Iterator[tuple[str, bool]]:
    """The parts of a compound, each with whether its script is one without spaces between words."""
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
    """(start, end, term), places in characters of the text."""
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
    """Overlapping pairs of characters; single ones too where they may be asked for, or are all there is."""
    for place in range(len(run) - 1):
        yield first + place, first + place + 2, fold(run[place : place + 2])
    if indexing or len(run) == 1:
        for place, character in enumerate(run):
            yield first + place, first + place + 1, fold(character)


def _identifier(whole: str) -> str:
    """The parts as one word; a number keeps its points: 6.10 is not 610."""
    folded = fold(whole)
    return folded if folded.replace(".", "").isdigit() else "".join(_PART.findall(folded))


@lru_cache(_CACHED_WORDS)
def word_terms(word: str) -> tuple[str, ...]:
    """A word of a script with spaces: itself, folded and stemmed, and the parts of a name in camelCase or snake_case."""
    itself = _stem(fold(word).replace("_", ""))
    parts = _NAME_PARTS.findall(word) if "_" in word or not (word.islower() or word.isupper() or word.istitle()) else []
    named = [_stem(fold(part)) for part in parts] if len(parts) > 1 else []
    return tuple(dict.fromkeys(term for term in (itself, *named) if term))


def _stem(word: str) -> str:
    if not word.isascii():
        return word
    if not hasattr(_local, "tokenizer"):
        _local.connection = apsw.Connection(":memory:")  # a tokenizer belongs to a connection, used by one thread
        _local.tokenizer = _local.connection.fts5_tokenizer(TOKENIZER[0], list(TOKENIZER[1:]))
    found = cast(
        "list[tuple[int, int, str]]", _local.tokenizer(word.encode(), apsw.FTS5_TOKENIZE_DOCUMENT, None, include_colocated=False)
    )
    return "".join(stem for _, _, stem in found)
