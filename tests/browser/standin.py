"""The service's HTTP surface, small and in memory, so that every state of the page can be produced at will.

`python tests/browser/standin.py --port 8099 [--role reader] [--no-model]`. Words in the question or file name choose what happens:
see `_script` and `_outcome`. It is a counterpart for the page, not a model of the service: contract tests hold the real one to the same shapes.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import json
import re
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, File, Form, Request, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader
from starlette.exceptions import HTTPException

WEB = Path(__file__).resolve().parents[2] / "app" / "web"
KEYS = {"teal_reader_secret": "reader", "teal_writer_secret": "writer"}
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HOSTILE = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'
UNBROKEN = "w" * 120  # wider than any phone
UPLOAD_LIMIT_BYTES = 2_000_000
STEP_SECONDS = 0.4  # long enough for the page to show each state of a document

SOURCES = [
    {
        "document_id": "d-io",
        "title": "io: Core tools for working with streams",
        "passage": "Text files are iterable by line. Iterating over a file object yields one line at a time, so the whole file is never held in memory. "
        "This makes it fit for files larger than the memory of the machine.\n\nThe with statement closes the file when the block is left, even after an error.",
        "score": 0.912,
        "source": "https://docs.example.org/library/io.html",
        "collection": "python",
    },
    {
        "document_id": "d-tutorial",
        "title": "Tutorial: Reading and writing files",
        "passage": "For reading lines from a file, you can loop over the file object. This is memory efficient, fast, and leads to simple code.",
        "score": 0.844,
        "source": "tutorial/inputoutput.txt",
        "collection": "python",
    },
    {
        "document_id": "d-linecache",
        "title": "linecache: Random access to text lines",
        "passage": "The linecache module allows one to get any line from a Python source file, while attempting to optimize internally, using a cache.",
        "score": 0.391,
        "source": None,
        "collection": "python",
    },
]
ANSWER = (
    "Iterating over a file object yields one line at a time, so the whole file is never held in memory. [1] "
    "This is memory efficient, fast, and leads to simple code. [2]\n\n"
    "The with statement closes the file when the block is left, even after an error. [1]"
)
EXTRACTIVE = "Extracted from the sources, no language model"


@dataclass
class Document:
    id: str
    title: str
    collection: str = "python"
    source: str | None = None
    started: float = 0.0
    outcome: str = "indexed"
    attempts: int = 1
    passages: int = 3
    created_at: str = "2026-01-05T09:30:00Z"

    def view(self) -> dict[str, Any]:
        steps = (time.monotonic() - self.started) / STEP_SECONDS
        status = "queued" if steps < 1 else "processing" if steps < 4 else self.outcome
        error = {
            "code": "unsupported-media",
            "detail": "The PDF holds no text: its pages are pictures.",
            "action": "Run text recognition over it, then send it again.",
        }
        return {
            "id": self.id, "title": self.title, "source": self.source, "collection": self.collection, "metadata": {}, "status": status,
            "media_type": "text/plain", "bytes": 1200, "progress": min(max((steps - 1) / 3, 0), 1), "passages": self.passages if status == "indexed" else 0,
            "error": error if status == "failed" else None, "created_at": self.created_at, "updated_at": self.created_at,
        }  # fmt: skip


@dataclass
class State:
    role: str | None
    model: bool
    sessions: dict[str, str] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    asked_stops: int = 0


def problem(status: int, title: str, detail: str, action: str, code: str) -> JSONResponse:
    request_id = f"req-{uuid.uuid4().hex[:8]}"
    body = {"type": f"/errors/{code}", "title": title, "status": status, "detail": detail, "code": code, "action": action, "request_id": request_id}
    return JSONResponse(body, status, {"X-Request-Id": request_id}, media_type="application/problem+json")


def _event(name: str, data: Any) -> str:
    return f"event: {name}\r\ndata: {json.dumps(data)}\r\n\r\n"


async def _script(question: str, state: State) -> AsyncIterator[str]:
    """The stream for a question: `slow`, `silent`, `fails`, `cut`, `nothing`, `hostile`, `words only`."""
    pause = 0.25 if "slow" in question else 0.02
    hits = [dict(source, passage=source["passage"]) for source in SOURCES]
    degraded = "the embedding model is not there yet" if "words only" in question else None
    answer, cited, grounded = ANSWER, SOURCES[:2], True
    if "nothing" in question:
        hits, cited, grounded, answer = [], [], False, "I don't know: nothing in the documents answers this."
    if "hostile" in question:
        cited = [{**SOURCES[0], "document_id": "d-hostile", "title": f"Title {HOSTILE} {UNBROKEN}", "passage": f"Passage {HOSTILE} {UNBROKEN} end."}]
        answer = f"Answer {HOSTILE} {UNBROKEN} goes on. [1]"
    yield ": heartbeat\r\n\r\n"
    await asyncio.sleep(pause)
    yield _event("retrieval", {"hits": hits, "mode": "lexical" if degraded else "hybrid", "degraded": degraded})
    try:
        for number, word in enumerate(re.findall(r"\S+\s*", answer)):
            if "silent" in question and number == 3:
                await asyncio.sleep(600)
            if "fails" in question and number == 8:
                yield _event("error", {
                    "title": "The language model does not answer", "status": 503, "detail": "Bedrock closed the stream.", "code": "model-unavailable",
                    "action": "Try again shortly; search still works.", "request_id": "req-stream-1",
                })  # fmt: skip
                return
            if "cut" in question and number == 8:
                raise ConnectionResetError("cut on purpose")
            for half in (word[: len(word) // 2], word[len(word) // 2 :]):  # pieces end inside markers, as real tokens do
                yield _event("token", {"text": half})
            if number % 5 == 0:
                yield ": heartbeat\r\n\r\n"
            await asyncio.sleep(pause)
    except asyncio.CancelledError:
        state.asked_stops += 1
        raise
    citations = [{"n": n, **{k: c[k] for k in ("document_id", "title", "passage")}} for n, c in enumerate(cited, 1)]
    for citation in citations:
        yield _event("citation", citation)
    yield _event("done", {"answer": answer, "grounded": grounded, "label": EXTRACTIVE, "citations": citations})


def _outcome(filename: str) -> str:
    return "failed" if "scanned" in filename else "indexed"


def _highlight(text: str, query: str) -> str:
    words = [re.escape(html.escape(word)) for word in query.split()]
    return re.sub(rf"\b({'|'.join(words)})\b", r"<mark>\1</mark>", html.escape(text), flags=re.IGNORECASE)


def build(role: str | None = None, *, model: bool = True) -> FastAPI:
    """`role`: nobody needs to sign in and everybody has that role. `model=False`: a service without an embedding model."""
    app = FastAPI()
    state = State(role, model)
    state.documents["d-hostile"] = Document("d-hostile", f"Title {HOSTILE} {UNBROKEN}", source="javascript:alert(1)")
    for number in range(23):
        name = f"Library reference, part {number + 1}"
        state.documents[f"d-{number}"] = Document(f"d-{number}", name, source=f"https://docs.example.org/part-{number + 1}.html", passages=40 + number)
    state.documents["d-scan"] = Document("d-scan", "scanned-letter.pdf", "letters", outcome="failed")
    for source in SOURCES:
        state.documents[source["document_id"]] = Document(source["document_id"], source["title"], source=source["source"], passages=12)
    errors = Environment(loader=FileSystemLoader(WEB), autoescape=True)

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        open_paths = request.url.path == "/v1/session" and request.method != "GET"
        token = request.cookies.get("teal_session", "")
        request.state.role = state.role or state.sessions.get(token)
        if request.url.path.startswith("/v1/") and not open_paths and not request.state.role:
            response: Response = problem(401, "A key is needed", "No key came with this request.", "Send `Authorization: Bearer KEY`.", "unauthenticated")
        else:
            response = await call_next(request)
        response.headers["Content-Security-Policy"] = CSP
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @app.exception_handler(HTTPException)
    async def page_for_people(request: Request, error: HTTPException) -> Response:
        text = errors.get_template("error.html").render(
            title="There is nothing here", detail=f"No page at {request.url.path}.", action="Check the address.", code="not-found",
            request_id="req-page-1", status=error.status_code,
        )  # fmt: skip
        return Response(text, error.status_code, media_type="text/html")

    @app.get("/")
    async def index() -> Response:
        return FileResponse(WEB / "index.html")

    @app.post("/v1/session")
    async def sign_in(request: Request) -> Response:
        found = KEYS.get((await request.json()).get("key", ""))
        if found is None:
            return problem(401, "A key is needed", "The key is not known.", "Send `Authorization: Bearer KEY`.", "unauthenticated")
        token = uuid.uuid4().hex
        state.sessions[token] = found
        response = Response(status_code=204)
        response.set_cookie("teal_session", token, httponly=True, secure=True, samesite="strict")
        return response

    @app.get("/v1/session")
    async def who(request: Request) -> dict[str, Any]:
        return {"name": "tests", "role": request.state.role, "collections": None}

    @app.delete("/v1/session")
    async def sign_out(request: Request) -> Response:
        state.sessions.pop(request.cookies.get("teal_session", ""), None)
        response = Response(status_code=204)
        response.delete_cookie("teal_session", secure=True, httponly=True, samesite="strict")
        return response

    @app.post("/v1/ask")
    async def ask(request: Request) -> Response:
        question = (await request.json())["question"]
        if "overload" in question:
            return problem(503, "The search engine does not answer", "Elasticsearch gave no answer within 2.0 s.",
                           "Nothing is lost: try again shortly. Operators: `teal status`, then `teal logs elasticsearch`.", "search-unavailable")  # fmt: skip
        return StreamingResponse(_script(question, state), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    @app.post("/v1/search")
    async def search(request: Request) -> Any:
        body = await request.json()
        unknown = set(body) - {"query", "top_k", "mode", "filters", "explain", "highlight"}
        if unknown:
            return problem(422, "The request does not have the expected form", f"Unknown fields: {sorted(unknown)}.", "Correct the fields.", "invalid-request")
        if "overload" in body["query"]:
            return problem(503, "The search engine does not answer", "No answer within 2.0 s.", "Try again shortly.", "search-unavailable")
        collections = body.get("filters", {}).get("collections")
        sources = [{**SOURCES[2], "title": f"Title {HOSTILE} {UNBROKEN}", "passage": f"Hostile {HOSTILE} {UNBROKEN} text"}] if "hostile" in body["query"] else SOURCES
        hits = []
        for rank, source in enumerate(sources if "zzz" not in body["query"] else [], 1):
            if collections and source["collection"] not in collections:
                continue
            hit = {**source, "highlight": _highlight(source["passage"], body["query"])}
            if body.get("explain"):
                lexical = {"score": 14.25 / rank, "rank": rank} if body["mode"] != "semantic" else None
                semantic = {"score": 0.81 / rank, "rank": rank} if body["mode"] != "lexical" else None
                hit["explain"] = {"lexical": lexical, "semantic": semantic}
            hits.append(hit)
        return {"hits": hits, "mode": body["mode"]}

    @app.get("/v1/collections")
    async def collections() -> dict[str, Any]:
        names = sorted({document.collection for document in state.documents.values()})
        return {"items": [{"name": name, "documents": sum(d.collection == name for d in state.documents.values())} for name in names]}

    @app.post("/v1/documents/upload")
    async def upload(file: Annotated[UploadFile, File()], collection: Annotated[str, Form()] = "default") -> Response:
        body = await file.read()
        name = file.filename or "unnamed"
        if len(body) > UPLOAD_LIMIT_BYTES:
            return problem(413, "The content is larger than the limit", "2.1 MB were sent, the limit is 2.0 MB.", "Split the document, or raise TEAL_MAX_DOCUMENT_BYTES.", "too-large")
        document = Document(uuid.uuid4().hex, name, collection, started=time.monotonic(), outcome=_outcome(name))
        state.documents = {document.id: document, **state.documents}
        return JSONResponse({"id": document.id, "status": "queued"}, 202)

    @app.get("/v1/documents")
    async def page(limit: int = 20, cursor: str = "0") -> dict[str, Any]:
        start = int(cursor)
        items = [document.view() for document in list(state.documents.values())[start : start + limit]]
        return {"items": items, "next": str(start + limit) if start + limit < len(state.documents) else None}

    @app.get("/v1/documents/{document_id}")
    async def get(document_id: str) -> Any:
        found = state.documents.get(document_id)
        return found.view() if found else problem(404, "There is nothing here", f"No document {document_id}.", "Check the id.", "not-found")

    @app.post("/v1/documents/{document_id}/retry")
    async def retry(document_id: str) -> Response:
        document = state.documents[document_id]
        document.started, document.outcome = time.monotonic(), "indexed"
        return JSONResponse({"id": document_id, "status": "queued"}, 202)

    @app.delete("/v1/documents/{document_id}")
    async def delete(document_id: str) -> Response:
        state.documents.pop(document_id, None)
        return Response(status_code=204)

    @app.get("/v1/status")
    async def status() -> dict[str, Any]:
        views = [document.view() for document in state.documents.values()]
        passages = sum(view["passages"] for view in views)
        return {
            "search": {"adapter": "embedded", "passages": passages, "vectors": passages - 120 if state.model else 0, "model": "all-minilm-l6-v2-q" if state.model else None},
            "documents": {name: sum(view["status"] == name for view in views) for name in ("queued", "processing", "indexed", "failed")},
            "generation": {"label": EXTRACTIVE}, "release": "r-20260105-1", "color": "blue",
        }  # fmt: skip

    @app.get("/stops")
    async def stops() -> dict[str, int]:
        return {"stopped": state.asked_stops}

    app.mount("/static", StaticFiles(directory=WEB))
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--role", choices=["reader", "writer"])
    parser.add_argument("--no-model", action="store_true")
    given = parser.parse_args()
    uvicorn.run(build(given.role, model=not given.no_model), host="127.0.0.1", port=given.port, log_level="error")


if __name__ == "__main__":
    main()
