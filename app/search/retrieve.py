"""Retrieval: embeds a question, gets candidates by words and by meaning in one round trip,
fuses them, and reads the best passages."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Final

from app.errors import ModelUnavailable
from app.models.port import Vector
from app.observability import timing
from app.search.fuse import convex, min_max, ranks
from app.search.port import Candidates, Filters, Mode, Passage, SearchQuery, SearchReader
from app.text.analysis import highlight, query_terms

EmbedQuery = Callable[[str], Awaitable[Vector]]
Deleted = Callable[[Iterable[str]], Awaitable[Set[str]]]  # returns those of the document ids that are deleted
MOST_CANDIDATES: Final = 1_000  # in each list, requested when deleted passages fill the usual lists
NO_EMBEDDER: Final = "No embedding model is available, so only words were searched."
NO_VECTORS: Final = "The passages here have no vectors yet, so only words were searched."
UNREAD: Final = "The embedding model cannot read this script, so only words were searched."


@dataclass(frozen=True, slots=True)
class RetrievalRequest:
    query: str
    top_k: int = 10
    mode: Mode = "hybrid"
    filters: Filters = field(default_factory=Filters)
    explain: bool = False
    highlight: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """The raw score (BM25, cosine) and the rank (1 is the best) in each list; None where
    the list does not contain the passage."""

    lexical_score: float | None
    lexical_rank: int | None
    semantic_score: float | None
    semantic_rank: int | None


@dataclass(frozen=True, slots=True)
class Hit:
    """A found passage. `score` is in [0, 1] and comparable only within one response."""

    document_id: str
    title: str
    passage: str
    score: float
    ordinal: int
    source: str | None
    collection: str
    metadata: Mapping[str, str]
    highlight: str | None
    explain: Explanation | None  # when the request asked for it


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The result of a search. `mode_used` differs from the requested mode only when `degraded` gives a reason. `best_cosine`: the
    cosine of the closest passage, an absolute measure where scores are relative; None when the search was by words alone."""

    hits: list[Hit]
    mode_used: Mode
    degraded: str | None
    best_cosine: float | None


async def retrieve(
    reader: SearchReader,
    embed_query: EmbedQuery | None,
    request: RetrievalRequest,
    *,
    candidates: int,
    reads: Callable[[str], bool] | None = None,
    deleted: Deleted | None = None,
) -> Retrieval:
    """The best `top_k` passages. The search is by words alone, and `degraded` says so, without an embedder, without
    vectors, or for a question in a script that the model cannot read (`reads`). Documents that `deleted` returns are
    ignored even if the index still has them.

    Raises the reader's `SearchUnavailable` and `IndexMismatch`.
    """
    limit = max(candidates, request.top_k)
    vector, degraded = (None, None) if request.mode == "lexical" else await _vector(embed_query, request.query, reads)
    words = request.query if request.mode != "semantic" or vector is None else None
    began = time.perf_counter()
    found = await _candidates(reader, SearchQuery(words, vector, limit, request.filters), deleted)
    if vector is not None and not found.semantic:
        if words is None:  # rare: no passage within the filters has a vector yet
            found = await _candidates(reader, SearchQuery(request.query, None, limit, request.filters), deleted)
        degraded = NO_VECTORS if found.lexical else None
    mode: Mode = "lexical" if request.mode == "lexical" or degraded else request.mode
    searched = time.perf_counter()
    ranked = rank(found, mode, request.top_k)
    fused = time.perf_counter()
    passages = await reader.passages([passage_id for passage_id, _ in ranked])
    timing.add_timing("search", searched - began + time.perf_counter() - fused)
    timing.add_timing("fuse", fused - searched)
    explain = _explainer(found) if request.explain else None
    marked = frozenset(query_terms(request.query)) if request.highlight else None
    hits = [
        _hit(passages[passage_id], score, marked, explain(passage_id) if explain else None)
        for passage_id, score in ranked
        if passage_id in passages  # it may have been removed since it was found
    ]
    return Retrieval(hits, mode, degraded, max(found.semantic.values(), default=None))


async def _candidates(reader: SearchReader, query: SearchQuery, deleted: Deleted | None) -> Candidates:
    """The candidates without deleted documents. If deleted ones took places in the lists, more candidates are requested once."""
    found = await reader.candidates(query)
    if deleted is None:
        return found
    kept = await _without(found, deleted)
    lost = len(found.lexical) + len(found.semantic) - len(kept.lexical) - len(kept.semantic)
    if lost == 0 or query.limit >= MOST_CANDIDATES or max(len(found.lexical), len(found.semantic)) < query.limit:
        return kept
    return await _without(await reader.candidates(replace(query, limit=MOST_CANDIDATES)), deleted)


async def _without(found: Candidates, deleted: Deleted) -> Candidates:
    gone = await deleted(_document(passage_id) for passage_id in (*found.lexical, *found.semantic))
    if not gone:
        return found
    return Candidates(
        {passage_id: score for passage_id, score in found.lexical.items() if _document(passage_id) not in gone},
        {passage_id: score for passage_id, score in found.semantic.items() if _document(passage_id) not in gone},
    )


def _document(passage_id: str) -> str:
    return passage_id.rpartition(":")[0]


async def _vector(
    embed_query: EmbedQuery | None, text: str, reads: Callable[[str], bool] | None
) -> tuple[Vector | None, str | None]:
    if embed_query is None:
        return None, NO_EMBEDDER
    if reads is not None and not reads(text):
        return None, UNREAD
    try:
        return await embed_query(text), None
    except ModelUnavailable as error:
        return None, f"Only words were searched: {error.detail}"


def rank(found: Candidates, mode: Mode, top_k: int | None = None) -> list[tuple[str, float]]:
    """(passage id, score) of the `top_k` best candidates, best first. By words alone the score is BM25 relative to the best; by
    meaning alone it is the cosine, or 0 if that is negative."""
    if mode == "lexical":
        scores = min_max(found.lexical, floor=0.0)
    elif mode == "semantic":
        scores = {key: min(1.0, max(0.0, cosine)) for key, cosine in found.semantic.items()}
    else:
        scores = convex(found.lexical, found.semantic)
    return sorted(scores.items(), key=lambda scored: (-scored[1], scored[0]))[:top_k]


def _explainer(found: Candidates) -> Callable[[str], Explanation]:
    lexical, semantic = ranks(found.lexical), ranks(found.semantic)
    return lambda key: Explanation(found.lexical.get(key), lexical.get(key), found.semantic.get(key), semantic.get(key))


def _hit(found: Passage, score: float, marked: frozenset[str] | None, explain: Explanation | None) -> Hit:
    return Hit(
        document_id=found.document_id,
        title=found.title,
        passage=found.text,
        score=score,
        ordinal=found.ordinal,
        source=found.source,
        collection=found.collection,
        metadata=found.metadata,
        highlight=highlight(found.text, marked) if marked is not None else None,
        explain=explain,
    )
