"""The service's HTTP API for the operator's command: one client, certificates verified, problems become errors."""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import stamina

from contract.http import SILENCE_SECONDS
from teal.errors import BadInput, ServiceRefused, Unreachable

TIMEOUT = httpx.Timeout(30.0, connect=3.0)  # seconds; connect is short because the load balancer is on loopback
PATIENCE_SECONDS = 120.0  # how long one request is retried while the service is busy (429, 503)
BUSY = (429, 502, 503, 504)
COLLECTION = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")  # as in app/http/schemas.py


@dataclass(frozen=True, slots=True)
class Address:
    """The service's URL, the API key, and the CA file that verifies its certificate (None: the system's CAs)."""

    url: str
    key: str | None
    ca: Path | None


class Client:
    """Synchronous and safe to use from several threads.
    Raises ServiceRefused (the service answered with an error) and Unreachable (no answer)."""

    def __init__(self, where: Address) -> None:
        if where.ca is not None and not where.ca.is_file():
            raise Unreachable(where.url, f"there is no certificate at {where.ca} yet")
        try:
            verify = ssl.create_default_context(cafile=str(where.ca) if where.ca else None)
        except OSError as error:  # ssl.SSLError is an OSError
            raise Unreachable(where.url, f"{where.ca} holds no certificate to verify it with") from error
        headers = {"Authorization": f"Bearer {where.key}"} if where.key else {}
        # trust_env off: a proxy setting must not send loopback traffic, or the key, elsewhere.
        self._http = httpx.Client(base_url=where.url, headers=headers, verify=verify, timeout=TIMEOUT, trust_env=False)
        self.url = where.url

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, path: str, **params: str | int) -> Any:
        return self._send("GET", path, params=params)

    def document(self, document_id: str) -> dict[str, Any]:
        """GET /v1/documents/{id}; waits while the service is busy, like the methods that send documents."""
        return self._patiently("GET", f"/v1/documents/{document_id}")

    def delete(self, path: str) -> None:
        self._send("DELETE", path)

    def send_text(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST /v1/documents; waits while the service is busy. The same content twice is one document, so it may be repeated."""
        return self._patiently("POST", "/v1/documents", json=body)

    def upload(self, path: Path, collection: str | None) -> dict[str, Any]:
        """POST /v1/documents/upload with one file; waits while the service is busy."""
        form = {"source": words(path)} | ({"collection": collection} if collection else {})
        return self._patiently(
            "POST", "/v1/documents/upload", files={"file": (words(Path(path.name)), path.read_bytes())}, data=form
        )

    def ask(self, question: str, collections: Sequence[str] = ()) -> dict[str, Any]:
        """POST /v1/ask, about the documents in these collections, or about all."""
        return self._patiently("POST", "/v1/ask", json=_asked(question, collections))

    @contextmanager
    def ask_stream(self, question: str, collections: Sequence[str] = ()) -> Iterator[Iterator[tuple[str, dict[str, Any]]]]:
        """The events of one answer as (name, data), as they come."""
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=TIMEOUT.connect)
        try:
            with self._http.stream(
                "POST", "/v1/ask", json=_asked(question, collections) | {"stream": True}, timeout=timeout
            ) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise service_refused(answer)
                yield events(answer.iter_lines())
        except httpx.TransportError as error:
            raise Unreachable(f"{self.url}/v1/ask", _reason(error)) from error

    def _patiently(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        stamina.instrumentation.set_on_retry_hooks(())  # else stamina logs "stamina.retry_scheduled" between our lines
        for attempt in stamina.retry_context(
            on=_busy_seconds, attempts=None, timeout=PATIENCE_SECONDS, wait_initial=0.2, wait_max=5.0
        ):
            with attempt:
                return dict(self._send(method, path, **options))
        raise AssertionError("unreachable")  # stamina re-raises the last error

    def _send(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise Unreachable(f"{self.url}{path}", _reason(error)) from error
        if answer.status_code >= 400:
            raise service_refused(answer)
        return answer.json() if answer.content else None


def _asked(question: str, collections: Sequence[str]) -> dict[str, Any]:
    return {"question": question} | ({"filters": {"collections": list(collections)}} if collections else {})


def _busy_seconds(error: Exception) -> bool | float:
    """Whether to try again; the seconds to wait if the service sent Retry-After."""
    if isinstance(error, ServiceRefused) and error.status in BUSY:
        return error.retry_after_seconds if error.retry_after_seconds is not None else True
    return False


def service_refused(answer: httpx.Response) -> ServiceRefused:
    """The service's problem document as an error; also for a proxy's error response, which has no problem document."""
    try:
        body = answer.json()
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    return ServiceRefused(f"{answer.request.method} {answer.request.url}", status=answer.status_code, code=str(body.get("code", "http-error")),
                   title=str(body.get("title", answer.reason_phrase or "The request failed")), detail=str(body.get("detail", "")),
                   action=str(body.get("action", "")), request_id=body.get("request_id"), retry_after_seconds=retry_after(answer))  # fmt: skip


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds in Retry-After; None when absent or a date (this service sends seconds)."""
    try:
        return min(max(float(answer.headers["Retry-After"]), 0.0), PATIENCE_SECONDS)
    except (KeyError, ValueError):
        return None


def events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Server-sent events from lines; comments (heartbeats) are skipped."""
    name, data = "message", []
    for line in lines:
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield name, json.loads("\n".join(data))
            name, data = "message", []


def _reason(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectError) and "certificate has expired" in str(error):
        return "its certificate has expired: `teal up` makes a new one"
    if isinstance(error, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "another program with another certificate answers there"
    if isinstance(error, httpx.ConnectError):
        return "nothing listens there"
    return str(error) or type(error).__name__


def require_key(where: Address) -> Address:
    """The same address, or BadInput when there is no key to use."""
    if where.key is None:
        raise BadInput("A key is needed", where=where.url, next="teal keys create --role reader, then TEAL_KEY=... or --key")
    return where


def require_collection(name: str) -> str:
    """The same name, or BadInput when the service would refuse it."""
    if not COLLECTION.fullmatch(name):
        raise BadInput("A collection's name is 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or a digit",
                       where=f"--collection {name!r}", next="the same command with a name like `papers`")  # fmt: skip
    return name


def words(path: Path) -> str:
    """A path as text that can be sent and printed: bytes of a file name that are no UTF-8 become U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace")
