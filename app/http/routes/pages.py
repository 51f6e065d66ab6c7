"""The web page, its files, its sign-in, and the list of errors."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from app.access import audit
from app.access.authentication import SESSION_COOKIE
from app.catalog import sessions
from app.catalog.documents import count_by_status
from app.catalog.keys import Principal
from app.errors import PROBLEMS, Unavailable
from app.http.dependencies import Reader, ServiceDep, caller, signing
from app.http.problems import WEB
from app.http.schemas import SessionIn, SessionOut

router = APIRouter()


@router.get("/", include_in_schema=False)
async def index() -> FileResponse:
    return FileResponse(WEB / "index.html", headers={"Cache-Control": "no-cache"})


@router.get("/errors", tags=["errors"])
async def errors() -> JSONResponse:
    """Every error code with its status, meaning and what to do."""
    return JSONResponse(
        [{"code": p.code, "status": p.status, "title": p.title, "action": p.action} for p in PROBLEMS.values()],
    )


@router.post("/v1/session", status_code=204, tags=["session"], dependencies=[Depends(signing)])
async def sign_in(body: SessionIn, request: Request, service: ServiceDep) -> Response:
    """Exchange a key for a session cookie, which scripts of the page cannot read."""
    principal = await service.authenticator.verify(body.key)
    hours = service.settings.session_hours

    def open_one() -> str:
        with service.catalog.write() as session:
            return sessions.open_session(session, principal.key_id, hours)

    token = await to_thread.run_sync(open_one)
    audit.write_audit_line("signed-in", principal, client=audit.client_address(request))
    response = Response(status_code=204)
    response.set_cookie(SESSION_COOKIE, token, max_age=hours * 3600, path="/", secure=True, httponly=True, samesite="strict")
    return response


@router.get("/v1/session", response_model=SessionOut, tags=["session"])
async def who(principal: Annotated[Principal, Depends(caller)]) -> SessionOut:
    """The principal of the caller's key or session."""
    collections = list(principal.collections) if principal.collections is not None else None
    return SessionOut(name=principal.name, role=principal.role, collections=collections)


@router.delete("/v1/session", status_code=204, tags=["session"], dependencies=[Depends(signing)])
async def sign_out(request: Request, service: ServiceDep) -> Response:
    """End the session of this cookie."""
    token = request.cookies.get(SESSION_COOKIE)
    if token:

        def close_one() -> str | None:
            with service.catalog.write() as session:
                return sessions.close_session(session, token)

        key_id = await to_thread.run_sync(close_one)
        service.authenticator.forget_session(token)
        if key_id is not None:
            audit.write_audit_line("signed-out", key_id=key_id, client=audit.client_address(request))
    response = Response(status_code=204)
    response.delete_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    return response


@router.get("/v1/status", tags=["status"])
async def status(service: ServiceDep, principal: Reader) -> JSONResponse:
    """What is indexed, by which model, and who writes the answers. `passages` and `vectors` are null while the search engine is away,
    and for keys that may not see every collection."""

    def count() -> dict[str, int]:
        with service.catalog.read() as session:
            return count_by_status(session, principal.collections)

    documents = await to_thread.run_sync(count)
    reasons = dict(service.reasons)
    engine = None
    try:
        engine = await service.reader.status()
    except Unavailable as error:  # the other fields are still correct, and an operator needs them especially now
        reasons["search"] = error.detail
    sees_all = engine is not None and principal.collections is None  # the engine counts every collection
    return JSONResponse(
        {
            "search": {
                "adapter": service.settings.search,
                "index": engine.index if engine else service.settings.index,
                "passages": engine.passages if engine and sees_all else None,
                "vectors": engine.vectors if engine and sees_all else None,
                "model": service.answering.embedder.stamp.model if service.answering.embedder else None,
            },
            "documents": {name: documents.get(name, 0) for name in ("queued", "processing", "indexed", "failed")},
            "generation": {"label": service.answering.writer().label},
            "release": service.settings.release_id,
            "color": service.settings.color,
            "reasons": reasons,
        }
    )
