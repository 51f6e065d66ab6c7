"""POST /v1/chat/completions and GET /v1/models: the answers of /v1/ask, for programs that speak OpenAI's chat API.

The last message is the question, and the messages of user and assistant before it are its history. Requests are
counted, limited and cached like those of /v1/ask, because both routes make the same call. A model's name is `teal`,
or `teal:COLLECTION` for one collection.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from sse_starlette import ServerSentEvent

from app.answering.follow_up import MOST_TURN_CHARACTERS, MOST_TURNS
from app.answering.service import AnswerEvent
from app.catalog import documents
from app.catalog.keys import COLLECTION_NAME
from app.errors import InvalidRequest, NotFound, Problem
from app.http.dependencies import Reader, ServiceDep
from app.http.problems import openai_error
from app.http.routes.ask import answer_request
from app.http.schemas import AskIn, FiltersIn, Text, Wire
from app.observability.logging import request_id

router = APIRouter(prefix="/v1", tags=["chat"])

MODEL: Final = "teal"
_EPOCH: Final = 0  # `created` of every model, because a model here has no date


class PartIn(Wire):
    type: Literal["text"]
    text: str


class MessageIn(Wire):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[PartIn] | None = None
    name: str | None = None
    refusal: str | None = None

    @property
    def words(self) -> str:
        """The message's text, whether its content is a string or a list of parts."""
        parts = self.content if isinstance(self.content, list) else [PartIn(type="text", text=self.content or "")]
        return "\n".join(part.text for part in parts).strip()


class StreamOptionsIn(Wire):
    include_usage: bool = False
    include_obfuscation: bool = False


class ResponseFormatIn(Wire):
    type: Literal["text"] = "text"


class ChatIn(Wire):
    """A chat completion request. An option that would change the answer is obeyed or refused. An option that only tunes a
    language model is accepted and has no effect, because answers are quotations and cited sentences."""

    model: Text
    messages: Annotated[list[MessageIn], Field(min_length=1, max_length=1_000)]
    stream: bool = False
    top_k: Annotated[int, Field(ge=1, le=20, description="Teal's own: passages the answer is made from.")] = 6
    filters: Annotated[FiltersIn, Field(description="Teal's own, as in /v1/ask.")] = Field(default_factory=FiltersIn)
    n: Literal[1] | None = None
    response_format: ResponseFormatIn | None = None
    stream_options: StreamOptionsIn | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    user: str | None = None
    reasoning_effort: str | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None


@router.post("/chat/completions")
async def complete(body: ChatIn, request: Request, service: ServiceDep, principal: Reader) -> Response:
    """Answer the last message from the documents, in the form of OpenAI's chat completions; `citations` and `grounded` come beside `choices`."""
    asked = _asked(body)
    if asked.stream:
        chunks = _Chunks(body.model, usage=body.stream_options is not None and body.stream_options.include_usage)
        return await answer_request(asked, request, service, principal, chunks)
    answer = json.loads(bytes((await answer_request(asked, request, service, principal)).body))
    message = {"role": "assistant", "content": answer["answer"], "refusal": None}
    whole = _frame("chat.completion", body.model) | {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}]
    }
    return JSONResponse(whole | {"usage": _usage(answer)} | _evidence(answer), headers={"Cache-Control": "no-store"})


@router.get("/models")
async def models(service: ServiceDep, principal: Reader) -> JSONResponse:
    """`teal`, and one name for each collection that this key may see."""

    def read() -> list[str]:
        with service.catalog.read() as session:
            return sorted(documents.collection_counts(session, principal.collections))

    names = [MODEL, *(f"{MODEL}:{name}" for name in await to_thread.run_sync(read))]
    return JSONResponse(
        {"object": "list", "data": [{"id": name, "object": "model", "created": _EPOCH, "owned_by": "teal"} for name in names]}
    )


class _Chunks:
    """An answer's events as chunks of a chat completion. `usage`: a last chunk without choices gives the tokens, and all other
    chunks have null there, as platform.openai.com/docs/api-reference/chat/create specifies for `stream_options.include_usage`."""

    def __init__(self, model: str, *, usage: bool) -> None:
        self._usage = usage
        self._frame = _frame("chat.completion.chunk", model) | ({"usage": None} if usage else {})

    def events(self, event: AnswerEvent) -> Iterator[ServerSentEvent]:
        """The chunks for one event of an answer; none for most events."""
        match event.name:
            case "retrieval":
                yield self._chunk({"role": "assistant", "content": ""})
            case "token":
                yield self._chunk({"content": event.data["text"]})
            case "done":
                yield self._chunk({}, finish_reason="stop", more=_evidence(event.data))
                if self._usage:
                    yield ServerSentEvent(json.dumps(self._frame | {"choices": [], "usage": _usage(event.data)}))
                yield ServerSentEvent("[DONE]")

    def error(self, problem: Problem, detail: str) -> ServerSentEvent:
        """The event for an answer that failed after the status line was sent."""
        return ServerSentEvent(json.dumps(openai_error(problem, detail)))

    def _chunk(
        self, delta: dict[str, Any], *, finish_reason: str | None = None, more: dict[str, Any] | None = None
    ) -> ServerSentEvent:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return ServerSentEvent(json.dumps(self._frame | {"choices": [choice]} | (more or {})))


def _frame(kind: str, model: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{request_id.get()}", "object": kind, "created": int(time.time()), "model": model}


def _evidence(answer: dict[str, Any]) -> dict[str, Any]:
    return {
        name: answer[name] for name in ("citations", "grounded", "nearest", "label", "conflicting", "degraded") if name in answer
    }


def _usage(answer: dict[str, Any]) -> dict[str, int]:
    read, written = answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _asked(body: ChatIn) -> AskIn:
    *before, last = body.messages
    if last.role != "user" or not last.words:
        raise InvalidRequest("The last message must be the user's, with a text: it is the question.")
    said = [(one.role, one.words) for one in before if one.role in ("user", "assistant") and one.words]
    turns = [{"role": role, "content": words[:MOST_TURN_CHARACTERS]} for role, words in said[-MOST_TURNS:]]
    asked = {"question": last.words, "history": turns, "top_k": body.top_k, "stream": body.stream, "filters": _filters(body)}
    return AskIn.model_validate(asked)


def _filters(body: ChatIn) -> FiltersIn:
    name, _, collection = body.model.partition(":")
    if name != MODEL or (collection and not _is_collection(collection)):
        raise NotFound(f"There is no model {body.model[:80]!r}; GET /v1/models lists them: {MODEL}, and {MODEL}:COLLECTION.")
    if not collection:
        return body.filters
    if body.filters.collections:
        raise InvalidRequest("The model names a collection and so do the filters; say it once.")
    return body.filters.model_copy(update={"collections": [collection]})


def _is_collection(name: str) -> bool:
    return COLLECTION_NAME.fullmatch(name) is not None
