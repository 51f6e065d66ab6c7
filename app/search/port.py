"""What the service needs of a search engine. Two adapters keep it: `elasticsearch/` and `sqlite/`; `engines.py` opens the configured one.

Reading is async and done by the app processes; writing is sync and done only by the worker (and `app.admin`).
Both adapters raise `app.errors.SearchUnavailable` when the engine does not answer and `IndexMismatch` when its stamp
is another model's.
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
    """One indexed piece of a document. `id` is `<document_id>:<ordinal>`, so writing it twice is writing it once."""

    id: str
    document_id: str
    ordinal: int
    title: str
    text: str
    collection: str
    source: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    vector: Vector | None = None  # None: found by words alone until it is embedded


@dataclass(frozen=True, slots=True)
class Filters:
    """All given conditions hold together; within one condition any value will do. `collections=None` means all of them."""

    collections: tuple[str, ...] | None = None
    document_ids: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """`text` None skips the lexical list, `vector` None the semantic one. `limit`: candidates per list."""

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
    """What is in the index now. `vectors` counts passages that have one."""

    index: str
    passages: int
    vectors: int
    stamp: Stamp


class SearchReader(Protocol):
    async def candidates(self, query: SearchQuery) -> Candidates:
        """Both candidate lists in one round trip, without the passages: fusion needs hundreds of scores, an answer ten texts."""

    async def passages(self, ids: Sequence[str]) -> Mapping[str, Passage]:
        """The passages with these ids, without vectors; one that was removed since it was found is left out."""

    async def status(self) -> IndexStatus:
        """Counts and stamp; raises when the engine does not answer."""

    async def close(self) -> None: ...


class SearchWriter(Protocol):
    def ensure(self, stamp: Stamp) -> str:
        """Create the first index behind the alias when there is none, compare stamps when there is. Returns its name."""

    def put(self, passages: Sequence[Passage]) -> None:
        """Write or overwrite by id, with back-pressure; raises after retries, naming the first failed item."""

    def delete_document(self, document_id: str, *, keep_below: int = 0) -> int:
        """Remove the document's passages with ordinal >= keep_below; returns how many."""

    def refresh(self) -> None:
        """Make everything written so far visible to readers."""

    def count(self, document_id: str | None = None) -> int:
        """Visible passages, of one document or of all."""

    def document_ids(self, *, after: str | None, limit: int) -> list[str]:
        """The next documents that have visible passages, in an order of the engine's own; fewer than `limit` at the end."""

    def tally(self, document_ids: Sequence[str]) -> Mapping[str, int]:
        """Visible passages of each of these documents; one without any is absent."""

    def drop(self) -> bool:
        """Remove the whole index and what names it; False when there was none. Only `close` may follow."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SearchEngine:
    """An adapter as `app/providers.py` registers it.

    `swap(settings, other)` makes `settings.index` what `other.index` is, whose name is gone; the index that was replaced is kept as
    `kept_name(settings)`. True when there was one to keep. Readers see the one or the other; done again after it was cut off, it ends
    what was begun.
    """

    open_reader: Callable[[Settings, Stamp], SearchReader]
    open_writer: Callable[[Settings], SearchWriter]
    swap: Callable[[Settings, Settings], bool]


def kept_name(settings: Settings) -> str:
    """Where the index that was replaced last is kept, until the next one is."""
    return f"{settings.index}-kept"


def check_stamp(found: Stamp, expected: Stamp, where: str) -> None:
    """Raises `IndexMismatch` when vectors of `expected` cannot be compared with the index's. Without a model
    (dimensions 0) no vector is compared, so every index will do."""
    if expected.dimensions and found != expected:
        raise IndexMismatch(
            f"{where} holds vectors of {found.model} ({found.dimensions} dimensions, digest {found.digest[:12]}), "
            f"the settings name {expected.model} ({expected.dimensions}, {expected.digest[:12]})."
        )
