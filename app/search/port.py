"""The port of search engines. Two adapters implement it, `elasticsearch/` and `sqlite/`; `engines.py` opens the configured one.

The app processes read, with async calls. Only the worker and `app.admin` write, with sync calls. Both
adapters raise `app.errors.SearchUnavailable` when the engine does not answer, and `IndexMismatch` when the
index was made with another embedding model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from app.errors import IndexMismatch
from app.models.port import Stamp, Vector
from app.settings import Settings

Mode = Literal["hybrid", "lexical", "semantic"]


@dataclass(frozen=True, slots=True)
class Passage:
    """One indexed piece of a document. `id` is `<document_id>:<ordinal>`, so writing a passage is idempotent."""

    id: str
    document_id: str
    ordinal: int
    title: str
    text: str
    collection: str
    source: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    vector: Vector | None = None  # None while it is not embedded; until then it is found by words alone


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions on passages. All given conditions must hold, and for each of them one of its
    values suffices. None means no condition."""

    collections: tuple[str, ...] | None = None
    document_ids: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """One search. `text` None skips the lexical list, `vector` None the semantic one. `limit`:
    the number of candidates in each list."""

    text: str | None
    vector: Vector | None
    limit: int
    filters: Filters = Filters()


@dataclass(frozen=True, slots=True)
class Candidates:
    """Both lists, best first: passage id to raw score, which is BM25 (unbounded), or cosine similarity in [-1, 1]."""

    lexical: Mapping[str, float]
    semantic: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """The current content of the index. `vectors`: the number of passages that have a vector."""

    index: str
    passages: int
    vectors: int
    stamp: Stamp


class SearchReader(Protocol):
    async def candidates(self, query: SearchQuery) -> Candidates:
        """Both candidate lists in one round trip, without the passages: fusion needs hundreds of scores, an answer ten texts."""

    async def passages(self, ids: Sequence[str]) -> Mapping[str, Passage]:
        """The passages with these ids, by id and without vectors; a passage that was removed meanwhile is missing."""

    async def status(self) -> IndexStatus:
        """Counts and stamp of the index. Raises `SearchUnavailable` when the engine does not answer."""

    async def close(self) -> None: ...


class SearchWriter(Protocol):
    def ensure(self, stamp: Stamp) -> str:
        """Create the first index behind the alias if there is none; otherwise compare its stamp. Returns the index's name."""

    def put(self, passages: Sequence[Passage]) -> None:
        """Write or overwrite by id, with back-pressure; raises after retries, naming the first failed item."""

    def delete_document(self, document_id: str, *, keep_below: int = 0) -> int:
        """Remove the document's passages whose ordinal is at least `keep_below`; returns how many were removed."""

    def refresh(self) -> None:
        """Make everything written so far visible to readers."""

    def count(self, document_id: str | None = None) -> int:
        """Visible passages, of one document or of all."""

    def document_ids(self, *, after: str | None, limit: int) -> list[str]:
        """The ids of the next documents with visible passages, in an engine-specific order; fewer than `limit` at the end."""

    def tally(self, document_ids: Sequence[str]) -> Mapping[str, int]:
        """The number of visible passages by document; a document without any is missing."""

    def drop(self) -> bool:
        """Remove the index together with its alias or file; False when there was none. Only `close` may be called afterwards."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SearchEngine:
    """An adapter of a search engine, in the form that `app/providers.py` registers.

    `swap(settings, other)` puts the index `other.index` in the place of `settings.index`, and removes the name `other.index`. The
    replaced index is kept as `kept_name(settings)`; returns whether there was one. Readers see either the old or the new index,
    never a mixture. After an interruption, calling it again completes the swap.
    """

    open_reader: Callable[[Settings, Stamp], SearchReader]
    open_writer: Callable[[Settings], SearchWriter]
    swap: Callable[[Settings, Settings], bool]


def kept_name(settings: Settings) -> str:
    """The name under which the index that was replaced last is kept, until the next swap."""
    return f"{settings.index}-kept"


def check_stamp(found: Stamp, expected: Stamp, where: str) -> None:
    """Raises `IndexMismatch` when vectors of the model `expected` cannot be compared with those of the index. Without a model
    (dimensions 0) no vectors are compared, so every index is accepted."""
    if expected.dimensions and found != expected:
        raise IndexMismatch(
            f"{where} holds vectors of {found.model} ({found.dimensions} dimensions, digest {found.digest[:12]}), "
            f"the settings name {expected.model} ({expected.dimensions}, {expected.digest[:12]})."
        )
