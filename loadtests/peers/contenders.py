"""The compared contenders as data: how each is started, asked and read. `LACKS` lists what none of the peers does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from loadtests.bench import client

SERVERS: Final = Path(__file__).parent.resolve() / "servers"
TEAL: Final = "Teal"
SEARCH_TOP_K: Final = 10
JSON: Final = {"Content-Type": "application/json"}
LACKS: Final = "the peers have no keys, limits, quotas, audit log, metrics or cache of answers; Teal has all of them on"


@dataclass(frozen=True, slots=True)
class Contender:
    """One contender. `environment`: None for Teal itself. `index`: the index with the corpus. `sources`, `words`: bytes by which
    the first event with passages (None: it sends none) and the first with words of the answer are recognised.
    `events`: for a server whose events are read by a second request, that request, made of the answer to `ask`.
    `settings`: further settings of its process."""

    name: str
    environment: str | None
    command: tuple[str, ...]
    index: str
    search: Callable[[str, int], bytes]
    ids: Callable[[bytes], list[str]]
    ask: Callable[[str], bytes]
    sources: bytes | None = None
    words: bytes = b""
    events: Callable[[bytes], bytes] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def _post(path: str, body: Mapping[str, Any]) -> bytes:
    return client.post_request(path, json.dumps(body).encode(), JSON)


def teal(key: str) -> Contender:
    headers = {**JSON, "Authorization": f"Bearer {key}"}

    def search(query: str, top_k: int) -> bytes:
        return client.post_request("/v1/search", json.dumps({"query": query, "top_k": top_k}).encode(), headers)

    def ask(question: str) -> bytes:
        body = {"question": question, "top_k": SEARCH_TOP_K, "stream": "words"}
        return client.post_request("/v1/ask", json.dumps(body).encode(), headers)

    def ids(body: bytes) -> list[str]:
        return [f"{hit['document_id']}:{hit['ordinal']}" for hit in json.loads(body)["hits"]]

    return Contender(TEAL, None, (), "bench", search, ids, ask, b"event: retrieval", b"event: words")


def peers() -> list[Contender]:
    """The peers. A second Haystack is tuned beyond its documentation: hits do not return the vector, and Hayhooks keeps no traces
    for its dashboard. A second bare handler uses two calls, as Teal does."""
    return [
        _haystack("Haystack + Hayhooks", "peers-haystack"),
        _haystack(
            "the same, tuned",
            "peers-haystack-lean",
            HAYHOOKS_TRACING_ENABLED="false",
            HAYHOOKS_MONITORING_ENABLED="false",
        ),
        _langserve(),
        _llamaindex(),
        _bare("bare FastAPI handler", ""),
        _bare("the same, ids first", "-ids"),
    ]


def _uvicorn(app: str) -> tuple[str, ...]:
    return ("uvicorn", app, "--host", "127.0.0.1", "--port", "{port}")


def _haystack(name: str, index: str, **settings: str) -> Contender:
    def ask(question: str) -> bytes:
        messages = [{"role": "user", "content": question}]
        return _post("/v1/chat/completions", {"model": "rag", "stream": True, "messages": messages})

    return Contender(
        name=name,
        environment="haystack",
        command=(
            "hayhooks",
            "run",
            "--host",
            "127.0.0.1",
            "--port",
            "{port}",
            "--pipelines-dir",
            str(SERVERS / "pipelines"),
        ),
        index=index,
        search=lambda query, top_k: _post("/rag/run", {"query": query, "top_k": top_k}),
        ids=lambda body: [hit["id"] for hit in json.loads(body)["result"]],
        ask=ask,
        words=b'"content":"This',
        settings=settings,
    )


def _langserve() -> Contender:
    return Contender(
        name="LangServe",
        environment="langserve",
        command=_uvicorn("chain:app"),
        index="bench",
        search=lambda query, _: _post("/search/invoke", {"input": query}),
        ids=lambda body: [one["id"] for one in json.loads(body)["output"]],
        ask=lambda question: _post("/ask/stream", {"input": question}),
        sources=b'"documents":[{',  # before it come a run id and the question itself
        words=b'"answer":"This',
    )


def _llamaindex() -> Contender:
    def asked(query: str, top_k: int) -> dict[str, Any]:
        return {"start_event": {"query": query, "top_k": top_k}}

    return Contender(
        name="LlamaIndex's server",
        environment="llamaindex",
        command=(*_uvicorn("flow:app"), "--loop", "asyncio"),  # its store patches the event loop, and uvloop cannot be patched
        index="peers-llamaindex",
        search=lambda query, top_k: _post("/workflows/search/run", asked(query, top_k)),
        ids=lambda body: [hit["id"] for hit in json.loads(body)["result"]["value"]["result"]],
        ask=lambda question: _post("/workflows/ask/run-nowait", asked(question, SEARCH_TOP_K)),
        sources=b'"type":"Sources"',
        words=b'"type":"Words"',
        events=lambda body: client.get_request(f"/events/{json.loads(body)['handler_id']}?after_sequence=-1"),
    )


def _bare(name: str, way: str) -> Contender:
    return Contender(
        name=name,
        environment="bare",
        command=_uvicorn("bare:app"),
        index="bench",
        search=lambda query, top_k: _post(f"/search{way}", {"query": query, "top_k": top_k}),
        ids=lambda body: [hit["id"] for hit in json.loads(body)["hits"]],
        ask=lambda question: _post(f"/ask{way}", {"query": question}),
        sources=b"event: sources",
        words=b"event: token",
    )
