"""From a question to the best passages: embed it, ask both retrievers in one round trip, fuse."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from app.errors import ModelUnavailable
from app.rag.fuse import convex, min_max, ranks
from app.search.port import Candidate, Candidates, Filters, Mode, Query, SearchReader, Vector

EmbedQuery = Callable[[str], Awaitable[Vector]]
NO_EMBEDDER: Final = "No embedding model is available, so only words were searched."
NO_VECTORS: Final = "The passages here have no vectors yet, so only words were searched."


@dataclass(frozen=True, slots=True)
class RetrievalRequest:
    query: str
    top_k: int = 10
    mode: Mode = "hybrid"
    filters: Filters = field(default_factory=Filters)
    explain: bool = False  # for the border: `Hit.explain` is filled either way
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
    explain: Explanation


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
    found = await reader.candidates(Query(words, vector, limit, request.filters, request.highlight))
    if vector is not None and not found.semantic:
        if words is None:  # rare: nothing within the filters is embedded yet
            found = await reader.candidates(Query(request.query, None, limit, request.filters, request.highlight))
        degraded = NO_VECTORS if found.lexical else None
    mode: Mode = "lexical" if request.mode == "lexical" or degraded else request.mode
    return Retrieval(rank(found, mode, request.top_k), mode, degraded, max((hit.score for hit in found.semantic), default=None))


async def _vector(embed_query: EmbedQuery | None, text: str) -> tuple[Vector | None, str | None]:
    if embed_query is None:
        return None, NO_EMBEDDER
    try:
        return await embed_query(text), None
    except ModelUnavailable as error:
        return None, f"Only words were searched: {error.detail}"


def rank(found: Candidates, mode: Mode, top_k: int | None = None) -> list[Hit]:
    """Both lists as one, best first, the `top_k` best of it. Words alone: BM25 relative to the best; meaning alone: the cosine itself, from 0."""
    lexical = {candidate.passage_id: candidate.score for candidate in found.lexical}
    semantic = {candidate.passage_id: candidate.score for candidate in found.semantic}
    if mode == "lexical":
        scores = min_max(lexical, floor=0.0)
    elif mode == "semantic":
        scores = {key: min(1.0, max(0.0, cosine)) for key, cosine in semantic.items()}
    else:
        scores = convex(lexical, semantic)
    passages = {candidate.passage_id: candidate for candidate in (*found.semantic, *found.lexical)}
    lexical_ranks, semantic_ranks = ranks(lexical), ranks(semantic)
    order = sorted(scores, key=lambda key: (-scores[key], key))[:top_k]
    return [
        _hit(
            passages[key],
            scores[key],
            Explanation(lexical.get(key), lexical_ranks.get(key), semantic.get(key), semantic_ranks.get(key)),
        )
        for key in order
    ]


def _hit(found: Candidate, score: float, explain: Explanation) -> Hit:
    return Hit(
        found.document_id,
        found.title,
        found.text,
        score,
        found.ordinal,
        found.source,
        found.collection,
        found.metadata,
        found.highlight,
        explain,
    )
