"""From a question to the best passages: embed it, ask both retrievers in one round trip, fuse, then get the texts of the best."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from app.errors import ModelUnavailable
from app.rag.fuse import convex, min_max, ranks
from app.search.port import Candidates, Filters, Mode, Passage, Query, SearchReader, Vector
from app.search.words import highlight, query_stems

EmbedQuery = Callable[[str], Awaitable[Vector]]
NO_EMBEDDER: Final = "No embedding model is available, so only words were searched."
NO_VECTORS: Final = "The passages here have no vectors yet, so only words were searched."


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
    """Raw scores (BM25, cosine) and places (1 the best) in each list; None where the list does not hold the passage."""

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
    """`mode_used` differs from the mode asked for when `degraded` says why. `best_cosine`: the closest passage's, absolute
    evidence where scores are only relative; None when meaning was not searched."""

    hits: list[Hit]
    mode_used: Mode
    degraded: str | None
    best_cosine: float | None


async def retrieve(
    reader: SearchReader, embed_query: EmbedQuery | None, request: RetrievalRequest, *, candidates: int
) -> Retrieval:
    """The best `top_k` passages. Without an embedder, or without vectors, words alone are searched and `degraded` says so.

    Raises `SearchUnavailable` and `IndexMismatch` as the reader does.
    """
    limit = max(candidates, request.top_k)
    vector, degraded = (None, None) if request.mode == "lexical" else await _vector(embed_query, request.query)
    words = request.query if request.mode != "semantic" or vector is None else None
    found = await reader.candidates(Query(words, vector, limit, request.filters))
    if vector is not None and not found.semantic:
        if words is None:  # rare: nothing within the filters is embedded yet
            found = await reader.candidates(Query(request.query, None, limit, request.filters))
        degraded = NO_VECTORS if found.lexical else None
    mode: Mode = "lexical" if request.mode == "lexical" or degraded else request.mode
    ranked = rank(found, mode, request.top_k)
    passages = await reader.passages([passage_id for passage_id, _ in ranked])
    explain = _explainer(found) if request.explain else None
    marked = frozenset(query_stems(request.query)) if request.highlight else None
    hits = [
        _hit(passages[passage_id], score, marked, explain(passage_id) if explain else None)
        for passage_id, score in ranked
        if passage_id in passages  # it may have been removed a moment ago
    ]
    return Retrieval(hits, mode, degraded, max(found.semantic.values(), default=None))


async def _vector(embed_query: EmbedQuery | None, text: str) -> tuple[Vector | None, str | None]:
    if embed_query is None:
        return None, NO_EMBEDDER
    try:
        return await embed_query(text), None
    except ModelUnavailable as error:
        return None, f"Only words were searched: {error.detail}"


def rank(found: Candidates, mode: Mode, top_k: int | None = None) -> list[tuple[str, float]]:
    """(passage id, score) of both lists as one, best first, the `top_k` best of it. Words alone: BM25 relative to the best;
    meaning alone: the cosine itself, from 0."""
    if mode == "lexical":
        scores = min_max(found.lexical, floor=0.0)
    elif mode == "semantic":
        scores = {key: min(1.0, max(0.0, cosine)) for key, cosine in found.semantic.items()}
    else:
        scores = convex(found.lexical, found.semantic)
    return [(key, scores[key]) for key in sorted(scores, key=lambda key: (-scores[key], key))[:top_k]]


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
