"""The service's HTTP surface, small and in memory, so that every state of the page can be produced at will.

`python -m tests.browser.standin --port 8099 [--role reader] [--no-model]`. Words in the question or file name choose what happens:
see `script` and `outcome` in standin_content.py. It is a counterpart for the page, not a model of the service: contract tests hold the real one to the same shapes.
"""

from __future__ import annotations

import argparse
import asyncio
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, File, Form, Request, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader
from starlette.exceptions import HTTPException

from app.text.formats import FORMATS
from tests.browser.standin_content import EXTRACTIVE, HOSTILE, SOURCES, UNBROKEN, Document, highlight, outcome, script

WEB = Path(__file__).resolve().parents[2] / "app" / "web"
KEYS = {"teal_reader_secret": "reader", "teal_writer_secret": "writer"}
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
UPLOAD_LIMIT_BYTES = 2_000_000


@dataclass
class State:
    role: str | None
    model: bool
    sessions: dict[str, str] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    asked_stops: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    go_on: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))


def problem(status: int, title: str, detail: str, action: str, code: str) -> JSONResponse:
    request_id = f"req-{uuid.uuid4().hex[:8]}"
    body = {"type": f"/errors#{code}", "title": title, "status": status, "detail": detail, "code": code, "action": action}
    body["request_id"] = request_id
    return JSONResponse(body, status, {"X-Request-Id": request_id}, media_type="application/problem+json")


def build(role: str | None = None, *, model: bool = True) -> FastAPI:
    """`role`: nobody needs to sign in and everybody has that role. `model=False`: a service without an embedding model."""
    app = FastAPI()
    state = State(role, model)
    state.documents["d-hostile"] = Document("d-hostile", f"Title {HOSTILE} {UNBROKEN}", source="javascript:alert(1)")
    for number in range(23):
        name = f"Library reference, part {number + 1}"
        state.documents[f"d-{number}"] = Document(
            f"d-{number}", name, source=f"https://docs.example.org/part-{number + 1}.html", passages=40 + number
        )
    state.documents["d-mixed"] = Document(
        "d-mixed",
        "minutes-2025.pdf",
        "letters",
        passages=4,
        warnings=("Page 2 has no text (of 3 pages): a scan needs text recognition first.",),
    )
    state.documents["d-scan"] = Document("d-scan", "scanned-letter.pdf", "letters", outcome="failed")
    for source in SOURCES:
        state.documents[source["document_id"]] = Document(
            source["document_id"], source["title"], source=source["source"], passages=12
        )
    errors = Environment(loader=FileSystemLoader(WEB), autoescape=True)

    def count_stop() -> None:
        state.asked_stops += 1

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        open_paths = request.url.path == "/v1/session" and request.method != "GET"
        token = request.cookies.get("teal_session", "")
        request.state.role = state.role or state.sessions.get(token)
        if request.url.path.startswith("/v1/") and not open_paths and not request.state.role:
            response: Response = problem(
                401, "A key is needed", "No key came with this request.", "Send `Authorization: Bearer KEY`.", "unauthenticated"
            )
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
            return problem(
                401, "A key is needed", "The key is not known.", "Send `Authorization: Bearer KEY`.", "unauthenticated"
            )
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
        body = await request.json()
        question = body["question"]
        state.asked.append(body)
        if "overload" in question:
            return problem(503, "The search engine does not answer", "Elasticsearch gave no answer within 2.0 s.",
                           "Nothing is lost: try again shortly. Operators: `teal status`, then `teal logs elasticsearch`.", "search-unavailable")  # fmt: skip
        return StreamingResponse(
            script(question, count_stop, state.go_on), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    @app.post("/v1/search")
    async def search(request: Request) -> Any:
        body = await request.json()
        unknown = set(body) - {"query", "top_k", "mode", "filters", "explain", "highlight"}
        if unknown:
            return problem(
                422,
                "The request does not have the expected form",
                f"Unknown fields: {sorted(unknown)}.",
                "Correct the fields.",
                "invalid-request",
            )
        if "overload" in body["query"]:
            return problem(
                503, "The search engine does not answer", "No answer within 2.0 s.", "Try again shortly.", "search-unavailable"
            )
        collections = body.get("filters", {}).get("collections")
        sources = (
            [{**SOURCES[2], "title": f"Title {HOSTILE} {UNBROKEN}", "passage": f"Hostile {HOSTILE} {UNBROKEN} text"}]
            if "hostile" in body["query"]
            else SOURCES
        )
        hits = []
        for rank, source in enumerate(sources if "zzz" not in body["query"] else [], 1):
            if collections and source["collection"] not in collections:
                continue
            hit = {**source, "highlight": highlight(source["passage"], body["query"])}
            if body.get("explain"):
                lexical = {"score": 14.25 / rank, "rank": rank} if body["mode"] != "semantic" else None
                semantic = {"score": 0.81 / rank, "rank": rank} if body["mode"] != "lexical" else None
                found = {"lexical": lexical, "semantic": semantic}
                hit["explain"] = {f"{way}_{key}": value for way, both in found.items() if both for key, value in both.items()}
            hits.append(hit)
        return {"hits": hits, "mode": body["mode"]}

    @app.get("/v1/formats")
    async def formats() -> dict[str, Any]:
        return {"items": [{"name": one.name, "media_type": one.media_type, "suffixes": one.suffixes} for one in FORMATS]}

    @app.get("/v1/collections")
    async def collections() -> dict[str, Any]:
        names = sorted({document.collection for document in state.documents.values()})
        return {
            "items": [{"name": name, "documents": sum(d.collection == name for d in state.documents.values())} for name in names]
        }

    @app.post("/v1/documents/upload")
    async def upload(file: Annotated[UploadFile, File()], collection: Annotated[str, Form()] = "default") -> Response:
        body = await file.read()
        name = file.filename or "unnamed"
        if len(body) > UPLOAD_LIMIT_BYTES:
            return problem(
                413,
                "The content is larger than the limit",
                "2.1 MB were sent, the limit is 2.0 MB.",
                "Split the document, or raise TEAL_MAX_DOCUMENT_BYTES.",
                "too-large",
            )
        document = Document(uuid.uuid4().hex, name, collection, started=time.monotonic(), outcome=outcome(name))
        state.documents = {document.id: document, **state.documents}
        return JSONResponse({"id": document.id, "status": "queued"}, 202)

    @app.get("/v1/documents")
    async def page(limit: int = 20, cursor: str = "0", q: str = "", collection: str = "", status: str = "") -> dict[str, Any]:
        start = int(cursor)
        views = [
            view
            for view in (document.view() for document in state.documents.values())
            if q.lower() in f"{view['title']}\n{view['source']}".lower()
            and collection in ("", view["collection"])
            and status in ("", view["status"])
        ]
        return {"items": views[start : start + limit], "next": str(start + limit) if start + limit < len(views) else None}

    @app.get("/v1/documents/{document_id}")
    async def get(document_id: str) -> Any:
        found = state.documents.get(document_id)
        return (
            found.view()
            if found
            else problem(404, "There is nothing here", f"No document {document_id}.", "Check the id.", "not-found")
        )

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
            "reasons": {} if state.model else {"redis": "Redis does not answer: slower, not broken."},
        }  # fmt: skip

    @app.get("/asked")
    async def asked() -> list[dict[str, Any]]:
        return state.asked

    @app.post("/go-on")
    async def go_on() -> dict[str, Any]:
        state.go_on.release()
        return {}

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
