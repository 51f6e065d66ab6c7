"""POST /v1/ask: an answer with citations, whole or as a stream of server-sent events."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from app.cache import Fleeting
from app.dependencies import Parts, Reader, Service
from app.errors import PROBLEMS, TealError
from app.problems import problem_body
from app.rag.answer import Cited, Done, Token, answer
from app.rag.prompt import Source
from app.rag.retrieve import Retrieval
from app.routes.respond import json_bytes, while_connected
from app.routes.search import check_limits, find, is_fleeting, to_filters
from app.schemas import AnswerOut, AskIn, CitationOut
from app.search.port import Filters
from app.telemetry import ANSWERS, CACHE, CLAIMS, DROPPED_CLAIMS, FIRST_EVENT, STREAMS, STREAMS_BEGUN, STREAMS_BROKEN

router = APIRouter(prefix="/v1", tags=["ask"])

_HEARTBEAT_SECONDS: Final = 15  # load balancers cut streams that are silent for 60 s
_SLOW_READER_SECONDS: Final = 30  # a client that takes nothing for this long has left
_SHUTDOWN_SECONDS: Final = 25  # streams may finish within this after SIGTERM; uvicorn's own limit is 30 s

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Event:
    name: str
    data: dict[str, Any]


@dataclass
class _Script:
    """The events of one answer, kept so that a cached answer streams like a new one."""

    events: list[_Event] = field(default_factory=list)
    fleeting: bool = False

    def pack(self) -> bytes:
        """First line: the finished answer. Second: all events."""
        written = json.dumps(self.events[-1].data).encode() + b"\n" + json.dumps([(e.name, e.data) for e in self.events]).encode()
        return Fleeting(written) if self.fleeting else written


def _unpack_events(packed: bytes) -> list[_Event]:
    return [_Event(name, data) for name, data in json.loads(packed.split(b"\n", 1)[1])]


@router.post("/ask", response_model=AnswerOut)
async def ask(body: AskIn, request: Request, service: Parts, principal: Reader) -> Response:
    """Answer from the documents, every sentence cited; `stream` sends events as they come."""
    check_limits(service, body.question, body.top_k)
    await service.quotas.admit(principal, "questions")
    filters = to_filters(body.filters, principal)
    writer = service.writer()
    key = service.cache.key("answer", *service.scope(repr(filters), body.question, str(body.top_k), writer.label))
    if body.stream:
        return _stream(service, body, filters, key)

    known = service.cache.local("answer", key)
    if known is not None:
        return json_bytes(known.split(b"\n", 1)[0], "hit-process")

    async def compute() -> bytes:
        script = _Script()
        async for _ in _events(service, body, filters, script):
            pass
        return script.pack()

    packed, tier = await while_connected(request, service.cache.get_or_compute("answer", key, compute))
    return json_bytes(packed.split(b"\n", 1)[0], tier)


def _stream(service: Service, body: AskIn, filters: Filters, key: str) -> Response:
    started = time.perf_counter()

    async def events() -> AsyncIterator[ServerSentEvent]:
        STREAMS.inc()
        STREAMS_BEGUN.inc()
        first = True
        try:
            async for event in _cached_or_new(service, body, filters, key):
                if first:
                    FIRST_EVENT.observe(time.perf_counter() - started)
                    first = False
                yield ServerSentEvent(json.dumps(event.data), event=event.name)
        except TealError as error:
            STREAMS_BROKEN.inc()
            yield ServerSentEvent(json.dumps(problem_body(error.problem, error.detail)), event="error")
        except Exception:  # noqa: BLE001 - the status line is sent; the stream itself must say that it failed
            STREAMS_BROKEN.inc()
            _log.exception("an answer failed in the middle of its stream")
            detail = "The answer could not be finished."
            yield ServerSentEvent(json.dumps(problem_body(PROBLEMS["internal"], detail)), event="error")
        finally:
            STREAMS.dec()

    return EventSourceResponse(
        events(), ping=_HEARTBEAT_SECONDS, send_timeout=_SLOW_READER_SECONDS, shutdown_grace_period=_SHUTDOWN_SECONDS
    )


async def _cached_or_new(service: Service, body: AskIn, filters: Filters, key: str) -> AsyncIterator[_Event]:
    packed = await service.cache.get(key)
    CACHE.labels("answer", "miss" if packed is None else "hit").inc()
    if packed is not None:
        for event in _unpack_events(packed):
            yield event
        return
    script = _Script()
    async for event in _events(service, body, filters, script):
        yield event
    if not script.fleeting:
        await service.cache.put(key, script.pack())


async def _events(service: Service, body: AskIn, filters: Filters, script: _Script) -> AsyncIterator[_Event]:
    """Retrieve, then write; every event is also kept in `script`."""
    async for event in _play(service, body, filters, script):
        script.events.append(event)
        yield event


async def _play(service: Service, body: AskIn, filters: Filters, script: _Script) -> AsyncIterator[_Event]:
    found = await find(service, body.question, body.top_k, filters)
    script.fleeting = is_fleeting(service, found)
    yield _Event("retrieval", _retrieval(found))
    sources = [Source(n, hit.title, hit.passage) for n, hit in enumerate(found.hits, start=1)]
    writer = service.writer()
    async for event in answer(body.question, sources, found.best_cosine, writer):
        match event:
            case Token(text):
                yield _Event("token", {"text": text})
            case Cited(n):
                yield _Event("citation", _citation(found, n).model_dump(exclude_none=True))
            case Done():
                ANSWERS.labels(type(writer).__name__, str(event.grounded).lower()).inc()
                CLAIMS.inc(event.written)
                DROPPED_CLAIMS.inc(event.dropped)
                whole = AnswerOut(
                    answer=event.answer,
                    citations=[_citation(found, n) for n in event.cited],
                    grounded=event.grounded,
                    label=writer.label,
                    degraded=found.degraded,
                )
                yield _Event("done", whole.model_dump(exclude_none=True))


def _citation(found: Retrieval, n: int) -> CitationOut:
    hit = found.hits[n - 1]
    return CitationOut(n=n, document_id=hit.document_id, title=hit.title, passage=hit.passage, source=hit.source)


def _retrieval(found: Retrieval) -> dict[str, Any]:
    hits = [
        {"document_id": hit.document_id, "title": hit.title, "passage": hit.passage, "score": round(hit.score, 6)}
        for hit in found.hits
    ]
    return {"hits": hits, "mode": found.mode_used} | ({"degraded": found.degraded} if found.degraded else {})
