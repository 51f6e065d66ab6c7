"""The middleware of every request: it gives the request an id, limits its size, adds
headers, and records a metric and a log line."""

from __future__ import annotations

import hmac
import logging
import re
import time
import uuid
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.query_sample import PROBE_MARK
from app.answering.cache import bypassed
from app.observability import timing
from app.observability.logging import request_id
from app.observability.metrics import LATENCY, REQUESTS, counter, histogram
from app.observability.tracing import RequestSpan
from contract.bodies import limit_bytes
from contract.http import BYPASS_HEADER, PROBE_HEADER

_PROBE: Final = PROBE_HEADER.lower().encode()
_BYPASS: Final = BYPASS_HEADER.lower().encode()
_ID: Final = re.compile(rb"[A-Za-z0-9_-]{8,64}")
_SECURITY_HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
_ONLY_HTTPS: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
_QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})  # requested every second: log lines for them would hide all others

_log = logging.getLogger("app.access")


class RequestMiddleware:
    """The outermost layer, so that failures are logged and counted here too. Plain ASGI for speed, because every
    request and every streamed event passes it."""

    def __init__(
        self, app: ASGIApp, *, max_document_bytes: int, laptop: bool, probe_secret: str | None = None, traced: bool = False
    ) -> None:
        self._app = app
        self._traced = traced
        self._probe_secret = probe_secret.encode() if probe_secret else None
        # Not on a laptop, where this header would make the browser use HTTPS for every program on localhost for a year.
        self._headers = _SECURITY_HEADERS if laptop else (*_SECURITY_HEADERS, _ONLY_HTTPS)
        self._max_document_bytes = max_document_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        length = headers.get(b"content-length", b"0")
        declared = int(length) if length.isdigit() else 0
        identity = given.decode() if _ID.fullmatch(given) else uuid.uuid4().hex
        token = request_id.set(identity)
        span = RequestSpan(scope["method"], headers) if self._traced and scope["path"] not in _QUIET else None
        probe = _PROBE in headers and self._is_probe(headers[_PROBE])
        by = "probe" if probe else "user"
        if probe:
            scope[PROBE_MARK] = True
        bypass = bypassed.set(True) if probe and _BYPASS in headers else None
        parts, timed = timing.begin_timing()
        limit = limit_bytes(scope["path"], self._max_document_bytes)
        status = 500
        received = 0

        def too_large() -> HTTPException:
            return HTTPException(413, f"the body is larger than {limit} bytes, the limit here")

        async def counted() -> Message:
            nonlocal received
            if received == 0 and declared > limit:
                raise too_large()
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise too_large()  # the framework turns other errors at this place into a 400
            return message

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", identity.encode()), *self._headers]
                if parts:
                    message["headers"].append((b"server-timing", timing.timing_header(parts, time.perf_counter() - started)))
            await send(message)

        try:
            await self._app(scope, counted, dressed)
        except Exception:  # noqa: BLE001 - the framework has already answered; here the error is logged with the request id
            _log.exception("unexpected failure", extra={"path": scope["path"]})
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "unmatched")
            counter(REQUESTS, scope["method"], route, str(status), by).inc()
            if scope["path"] not in _QUIET:
                _log.info(
                    "request",
                    extra={
                        "method": scope["method"],
                        "path": scope["path"],
                        "status": status,
                        "milliseconds": round(seconds * 1000, 2),
                    },
                )
            histogram(LATENCY, route, by).observe(seconds, span.end(route, status, identity) if span else None)
            request_id.reset(token)
            timing.end_timing(timed)
            if bypass is not None:
                bypassed.reset(bypass)

    def _is_probe(self, given: bytes) -> bool:
        return self._probe_secret is not None and hmac.compare_digest(given, self._probe_secret)
