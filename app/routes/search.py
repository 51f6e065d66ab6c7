"""POST /v1/search."""

from __future__ import annotations

import time
from dataclasses import asdict

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.cache import Fleeting
from app.catalog.keys import Principal
from app.dependencies import Parts, Reader, Service
from app.errors import InvalidRequest
from app.rag.retrieve import NO_VECTORS, Hit, Retrieval, RetrievalRequest, retrieve
from app.routes.respond import json_bytes, while_connected
from app.schemas import ExplainOut, FiltersIn, HitOut, SearchIn, SearchOut
from app.search.port import Filters, Mode
from app.security import allowed_collections
from app.telemetry import DEGRADED, EMPTY, RETRIEVAL_SECONDS, RETRIEVALS, RETRIEVED
from app.tracing import step

router = APIRouter(prefix="/v1", tags=["search"])


@router.post("/search", response_model=SearchOut)
async def search(body: SearchIn, request: Request, service: Parts, principal: Reader) -> Response:
    """Passages that answer the query best, by words and by meaning."""
    check_limits(service, body.query, body.top_k)
    filters = to_filters(body.filters, principal)
    key = service.cache.key("search", *service.scope(repr(filters), body.model_dump_json(exclude={"filters"})))

    known = service.cache.local("search", key)
    if known is not None:
        return json_bytes(known, "hit-process")

    async def compute() -> bytes:
        found = await find(
            service, body.query, body.top_k, filters, mode=body.mode, explain=body.explain, highlight=body.highlight
        )
        answer = SearchOut(hits=[_hit(hit) for hit in found.hits], mode=found.mode_used, degraded=found.degraded)
        written = answer.model_dump_json(exclude_none=True).encode()
        return Fleeting(written) if is_fleeting(service, found) else written

    found, tier = await while_connected(request, service.cache.get_or_compute("search", key, compute))
    return json_bytes(found, tier)


async def find(
    service: Service,
    query: str,
    top_k: int,
    filters: Filters,
    *,
    mode: Mode = "hybrid",
    explain: bool = False,
    highlight: bool = False,
) -> Retrieval:
    """Retrieve with the service's engine and model, and count what was found."""
    asked = RetrievalRequest(query=query, top_k=top_k, mode=mode, filters=filters, explain=explain, highlight=highlight)
    began = time.perf_counter()
    with step("retrieve", {"teal.mode": mode, "teal.top_k": top_k}) as span:
        found = await retrieve(
            service.reader, service.embed_query if service.embedder else None, asked, candidates=service.settings.candidates
        )
        span.set_attribute("teal.found", len(found.hits))
    RETRIEVAL_SECONDS.observe(time.perf_counter() - began)
    RETRIEVALS.inc()
    RETRIEVED.inc(len(found.hits))
    if not found.hits:
        EMPTY.labels(mode).inc()
    if found.degraded and service.settings.embedding != "none":  # where it is not wanted, nothing is missing
        DEGRADED.inc()
    return found


def is_fleeting(service: Service, found: Retrieval) -> bool:
    """Whether the result is weaker than the next one may be: the embedding provider failed just now. What the index or the
    settings lack is in the cache key instead."""
    return found.degraded is not None and found.degraded != NO_VECTORS and service.embedder is not None


def check_limits(service: Service, text: str, top_k: int) -> None:
    """Refuse what is larger than the settings allow, naming the limit."""
    settings = service.settings
    if len(text) > settings.max_question_characters:
        raise InvalidRequest(f"The text has {len(text)} characters; the limit is {settings.max_question_characters}.")
    if top_k > settings.max_top_k:
        raise InvalidRequest(f"top_k is {top_k}; the limit is {settings.max_top_k}.")


def to_filters(asked: FiltersIn, principal: Principal) -> Filters:
    """The request's filters within what the key may see."""
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
