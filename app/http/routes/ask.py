"""POST /v1/ask: an answer with citations, whole or as a stream of server-sent events."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final, Protocol

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from app.answering.follow_up import ConversationTurn
from app.answering.service import AnswerEvent, AskRequest
from app.catalog.keys import Principal
from app.errors import PROBLEMS, Problem, TealError
from app.http.dependencies import Reader, Service, ServiceDep
from app.http.problems import problem_body
from app.http.responses import json_bytes, while_connected
from app.http.routes.search import check_limits, to_filters
from app.http.schemas import AnswerOut, AskIn
from app.observability.metrics import FIRST_EVENT, STREAMS, STREAMS_BEGUN, STREAMS_BROKEN, STREAMS_UNFINISHED
from contract.http import HEARTBEAT_SECONDS

router = APIRouter(prefix="/v1", tags=["ask"])

_SLOW_READER_SECONDS: Final = 30  # a client that reads nothing for this long counts as gone
_SHUTDOWN_SECONDS: Final = 25  # streams may finish within this after SIGTERM; uvicorn's own limit is 30 s

_log = logging.getLogger(__name__)


@router.post("/ask", response_model=AnswerOut)
async def ask(body: AskIn, request: Request, service: ServiceDep, principal: Reader) -> Response:
    """Answer from the documents, every sentence cited; `stream` sends events as they come."""
    return await answer_request(body, request, service, principal)


async def answer_request(
    body: AskIn, request: Request, service: Service, principal: Principal, form: EventFormat | None = None
) -> Response:
    """Check, count and answer one question, for both routes that take questions. `form`: how a stream writes
    events; by default Teal's own format."""
    check_limits(service, body.question, body.top_k)
    await service.quotas.admit(principal, "questions")
    said = tuple(ConversationTurn(turn.role, turn.content) for turn in body.history)
    asked = AskRequest(body.question, body.top_k, to_filters(body.filters, principal), said)

    def sample(answer: bytes | dict[str, Any]) -> None:
        service.query_sampler.offer(request.scope, "ask", body, asked.filters.collections, answer)

    if body.stream:
        return _stream(service.answering.events(asked, words=body.stream == "words"), form or _Named(), sample)
    known = service.answering.at_hand(asked)
    if known is not None:
        sample(known)
        return json_bytes(known, "hit-process")
    whole, tier = await while_connected(request, service.answering.answer(asked))
    sample(whole)
    return json_bytes(whole, tier)


class EventFormat(Protocol):
    """How the events of an answer are written into a stream."""

    def events(self, event: AnswerEvent) -> Iterable[ServerSentEvent]:
        """The server-sent events for one event of the answer; there may be none."""

    def error(self, problem: Problem, detail: str) -> ServerSentEvent:
        """The server-sent event for an answer that failed after the status line was sent."""


class _Named:
    """Teal's own format: each event under its own name."""

    def events(self, event: AnswerEvent) -> Iterable[ServerSentEvent]:
        return (ServerSentEvent(json.dumps(event.data), event=event.name),)

    def error(self, problem: Problem, detail: str) -> ServerSentEvent:
        return ServerSentEvent(json.dumps(problem_body(problem, detail)), event="error")


def _stream(answer: AsyncIterator[AnswerEvent], form: EventFormat, sample: Callable[[dict[str, Any]], None]) -> Response:
    started = time.perf_counter()

    async def events() -> AsyncIterator[ServerSentEvent]:
        STREAMS.inc()
        STREAMS_BEGUN.inc()
        first, done = True, False
        try:
            async for event in answer:
                if first:
                    FIRST_EVENT.observe(time.perf_counter() - started)
                    first = False
                for sent in form.events(event):
                    yield sent
                done = event.name == "done"
                if done:
                    sample(event.data)
        except TealError as error:
            STREAMS_BROKEN.inc()
            yield form.error(error.problem, error.detail)
        except Exception:  # noqa: BLE001 - the status line is sent already, so the stream must report the failure
            STREAMS_BROKEN.inc()
            _log.exception("an answer failed in the middle of its stream")
            yield form.error(PROBLEMS["internal"], "The answer could not be finished.")
        finally:
            STREAMS.dec()
            STREAMS_UNFINISHED.inc(not done)

    return EventSourceResponse(
        events(), ping=HEARTBEAT_SECONDS, send_timeout=_SLOW_READER_SECONDS, shutdown_grace_period=_SHUTDOWN_SECONDS
    )
