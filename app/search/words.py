"""How text becomes searchable words: one analysis for both engines, so that they rank alike.

Lower case, no diacritics, Porter stems (SQLite's FTS5 tokenizers, which `apsw` can call). Doing it here gives English
stemming to every Elasticsearch distribution, and it measured better than unstemmed words: docs/decisions/0002-fusion.md.
"""

from __future__ import annotations

import html
import threading
from collections.abc import Collection
from typing import Final, cast

import apsw

TOKENIZER: Final = ("porter", "unicode61", "remove_diacritics", "2")
MAX_QUERY_WORDS: Final = 256  # a question has tens; more only costs time, and Elasticsearch refuses thousands of clauses

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


def _tokenizer() -> apsw.FTS5Tokenizer:
    if not hasattr(_local, "tokenizer"):
        _local.connection = apsw.Connection(":memory:")  # a tokenizer belongs to a connection, used by one thread
        _local.tokenizer = _local.connection.fts5_tokenizer(TOKENIZER[0], list(TOKENIZER[1:]))
    tokenizer: apsw.FTS5Tokenizer = _local.tokenizer
    return tokenizer


def storable(text: str) -> str:
    """The same text in characters every engine can store: no lone surrogates (JSON may carry them), no NUL."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")


def _tokens(data: bytes) -> list[tuple[int, int, str]]:
    """(start, end, stem) of each word, in bytes of UTF-8."""
    found = _tokenizer()(data, apsw.FTS5_TOKENIZE_DOCUMENT, None, include_colocated=False)
    return cast("list[tuple[int, int, str]]", found)


def stems(text: str) -> list[str]:
    """Every word's stem, in order."""
    return [stem for _, _, stem in _tokens(storable(text).encode())]


def query_words(text: str) -> list[tuple[str, str]]:
    """(word, stem) of each word a query searches for: without stop words unless it has nothing else; a word said twice counts twice.

    An engine that stems by itself takes the words: Porter's stem of a stem can be another one ("lighthouse", "lighthous", "lighthou").
    """
    data = storable(text).encode()
    words = [(data[start:end].decode(), stem) for start, end, stem in _tokens(data)]
    telling = [pair for pair in words if pair[0].lower() not in STOP_WORDS]
    return (telling or words)[:MAX_QUERY_WORDS]


def query_stems(text: str) -> list[str]:
    """The stems alone, for an engine that was given stems."""
    return [stem for _, stem in query_words(text)]


def highlight(text: str, wanted: Collection[str]) -> str:
    """`text` as HTML: words with a wanted stem in <mark>, everything else escaped."""
    data, done, parts = storable(text).encode(), 0, list[str]()
    for start, end, stem in _tokens(data):
        if stem in wanted:
            parts += (html.escape(data[done:start].decode()), "<mark>", html.escape(data[start:end].decode()), "</mark>")
            done = end
    return "".join((*parts, html.escape(data[done:].decode())))
