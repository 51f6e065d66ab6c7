"""POST /v1/search."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.access.authentication import allowed_collections
from app.answering.cache import NotCacheable
from app.catalog.keys import Principal
from app.errors import InvalidRequest
from app.http.dependencies import Reader, Service, ServiceDep
from app.http.responses import json_bytes, while_connected
from app.http.schemas import ExplainOut, FiltersIn, HitOut, SearchIn, SearchOut
from app.search.port import Filters
from app.search.retrieve import Hit, RetrievalRequest

router = APIRouter(prefix="/v1", tags=["search"])


@router.post("/search", response_model=SearchOut)
async def search(body: SearchIn, request: Request, service: ServiceDep, principal: Reader) -> Response:
    """Passages that answer the query best, by words and by meaning."""
    check_limits(service, body.query, body.top_k)
    filters = to_filters(body.filters, principal)
    key = service.cache.key("search", *service.answering.scope(repr(filters), body.model_dump_json(exclude={"filters"})))

    known = service.cache.local("search", key)
    if known is not None:
        service.query_sampler.offer(request.scope, "search", body, filters.collections, known)
        return json_bytes(known, "hit-process")

    async def compute() -> bytes:
        asked = RetrievalRequest(body.query, body.top_k, body.mode, filters, explain=body.explain, highlight=body.highlight)
        found = await service.answering.retrieve(asked)
        answer = SearchOut(hits=[_hit(hit) for hit in found.hits], mode=found.mode_used, degraded=found.degraded)
        written = answer.model_dump_json(exclude_none=True).encode()
        return NotCacheable(written) if service.answering.is_fleeting(found) else written

    found, tier = await while_connected(request, service.cache.get_or_compute("search", key, compute))
    service.query_sampler.offer(request.scope, "search", body, filters.collections, found)
    return json_bytes(found, tier)


def check_limits(service: Service, text: str, top_k: int) -> None:
    """Raises InvalidRequest, naming the limit, when `text` or `top_k` is larger than the settings allow."""
    settings = service.settings
    if len(text) > settings.max_question_characters:
        raise InvalidRequest(f"The text has {len(text)} characters; the limit is {settings.max_question_characters}.")
    if top_k > settings.max_top_k:
        raise InvalidRequest(f"top_k is {top_k}; the limit is {settings.max_top_k}.")


def to_filters(asked: FiltersIn, principal: Principal) -> Filters:
    """The request's filters, restricted to the collections that the key may see."""
    collections = allowed_collections(principal, tuple(asked.collections) if asked.collections else None)
    return Filters(
        collections=tuple(sorted(collections)) if collections is not None else None,
        document_ids=tuple(asked.document_ids) if asked.document_ids else None,
        sources=tuple(asked.sources) if asked.sources else None,
        metadata=tuple(sorted(asked.metadata.items())),
    )


def _hit(hit: Hit) -> HitOut:
    return HitOut(
        document_id=hit.document_id,
        title=hit.title,
        passage=hit.passage,
        score=round(hit.score, 6),
        source=hit.source,
        collection=hit.collection,
        ordinal=hit.ordinal,
        metadata=dict(hit.metadata) or None,
        highlight=hit.highlight,
        explain=ExplainOut(**asdict(hit.explain)) if hit.explain else None,
    )
