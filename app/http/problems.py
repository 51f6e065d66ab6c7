"""Renders errors: as problem details (RFC 9457) for programs, and as a page for browsers."""

from __future__ import annotations

import errno
import logging
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from jinja2 import Environment, FileSystemLoader, Template
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.access.audit import record_refusal
from app.errors import PROBLEMS, Problem, StorageFull, TealError
from app.http.responses import ClientLeft
from app.observability.logging import request_id

WEB: Final = Path(__file__).parent.parent / "web"
_BY_STATUS: Final = {
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media",
    401: "unauthenticated",
}
_TOLD_ERRORS: Final = 20  # the most mistakes that an answer lists; a caller with more corrects these first
_TOLD_CHARACTERS: Final = 200  # the most that an answer quotes of a client's input, so that it stays short
_OPENAI_PATHS: Final = frozenset({"/v1/chat/completions", "/v1/models"})
_OPENAI_TYPES: Final = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSALS: Final = frozenset({401, 403, 429})
_CLIENT_LEFT_STATUS: Final = 499  # nginx's status for it; never received by the client, but logs and metrics need one

_log = logging.getLogger(__name__)


def problem_body(problem: Problem, detail: str, errors: list[dict[str, str]] | None = None) -> dict[str, Any]:
    """The problem details object of RFC 9457, with `code`, `action` and `request_id` added."""
    body: dict[str, Any] = {
        "type": f"/errors#{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "code": problem.code,
        "action": problem.action,
        "request_id": request_id.get(),
    }
    return body | ({"errors": errors} if errors else {})


def openai_error(problem: Problem, detail: str, param: str | None = None) -> dict[str, Any]:
    """The problem in OpenAI's error format, for the routes of OpenAI's API."""
    kind = _OPENAI_TYPES.get(problem.status, "server_error" if problem.status >= 500 else "invalid_request_error")
    return {"error": {"message": f"{detail} {problem.action}".strip(), "type": kind, "param": param, "code": problem.code}}


def render_problem(
    request: Request, problem: Problem, detail: str, *, headers: dict[str, str] | None = None, **extra: Any
) -> Response:
    """The response for a problem: an HTML page when a browser navigates, problem+json otherwise."""
    body = problem_body(problem, detail, **extra)
    headers = {"Cache-Control": "no-store"} | (headers or {})
    if request.url.path in _OPENAI_PATHS:
        errors = extra.get("errors") or [{}]
        return JSONResponse(openai_error(problem, detail, errors[0].get("field")), problem.status, headers)
    if request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_page("error.html").render(body), problem.status, headers)
    return JSONResponse(body, problem.status, headers, media_type="application/problem+json")


@lru_cache(maxsize=4)
def _page(name: str) -> Template:
    return Environment(loader=FileSystemLoader(WEB), autoescape=True).get_template(name)


def install_problem_handlers(app: FastAPI) -> None:
    """Register handlers that turn every kind of failure into a problem response; no stack trace ever reaches a client."""

    @app.exception_handler(TealError)
    async def teal_error(request: Request, error: TealError) -> Response:
        if error.problem.status >= 500:
            _log.warning("%s: %s", error.code, error.detail, extra={"path": request.url.path})
        if error.problem.status in _REFUSALS:
            record_refusal(request, error)
        headers = {}
        if error.problem.status in (429, 503, 507):
            headers["Retry-After"] = str(error.retry_after_seconds or 2)
        if error.problem.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="teal"'
        return render_problem(request, error.problem, error.detail, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        told = error.errors()[:_TOLD_ERRORS]
        errors = [{"field": _cut(_where(found["loc"])), "message": _cut(str(found["msg"]))} for found in told]
        detail = "; ".join(f"{found['field']}: {found['message']}" for found in errors[:3])
        return render_problem(request, PROBLEMS["invalid-request"], detail, errors=errors)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _NO_ROOM:  # a large upload is written to a temporary file as it arrives
            return await teal_error(request, StorageFull("There was no room for the upload in the temporary folder."))
        problem = PROBLEMS.get(_BY_STATUS.get(error.status_code, "invalid-request"), PROBLEMS["internal"])
        if error.status_code >= 500:
            problem = PROBLEMS["internal"]
        headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
        return render_problem(
            request, problem, f"{_cut(f'{request.method} {request.url.path}')}: {error.detail}", headers=headers
        )

    @app.exception_handler(ClientDisconnect)
    @app.exception_handler(ClientLeft)
    async def left(request: Request, _: Exception) -> Response:
        return Response(status_code=_CLIENT_LEFT_STATUS)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        return render_problem(request, PROBLEMS["internal"], "The failure was logged under the request id.")


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location[1:]) or str(location[0])  # the first says where: body, query, header


def _cut(text: str) -> str:
    return text if len(text) <= _TOLD_CHARACTERS else text[: _TOLD_CHARACTERS - 3] + "..."
