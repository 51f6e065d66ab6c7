"""What users send, and how each answer is counted. `due` is a moment of `time.perf_counter` from which latency counts; None: now."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import gevent
from locust.contrib.fasthttp import FastHttpUser, ResponseContextManager

from loadtests import measured
from loadtests.streams import Stream, follow

INDEXED_SECONDS: Final = 60.0  # an uploaded document that is not findable by then has failed
POLL_SECONDS: Final = 1.0
COLLECTION: Final = "load-test"  # what uploaders send, apart from everybody's documents


class Refused(Exception):
    """The service answered, and not with what was asked for. The text is what Locust groups failures by."""


def search(user: FastHttpUser, question: str, due: float | None = None) -> None:
    """POST /v1/search: a failure without hits, because searching nothing would only look fast."""
    with _post(user, "/v1/search", {"query": question, "top_k": measured.TOP_K}, measured.SEARCH) as answer:
        if (refused := refusal(answer)) is not None:
            answer.failure(refused)
        elif not answer.json().get("hits"):
            answer.failure(Refused("no hits"))
        if due is not None:
            answer.request_meta["response_time"] = _ms(time.perf_counter() - due)


def ask(
    user: FastHttpUser, question: str, due: float | None = None, leaves: Callable[[Stream], bool] = lambda _: False
) -> Stream:
    """POST /v1/ask as a stream, counted by its events; who `leaves` closes the connection."""
    since = time.perf_counter() if due is None else due
    with _post(user, "/v1/ask", {"question": question, "stream": True}, measured.FIRST_EVENT, stream=True) as answer:
        if (refused := refusal(answer)) is not None:
            answer.request_meta["response_time"] = _ms(time.perf_counter() - since)
            answer.failure(refused)
            return Stream()
        found = follow(_lines(answer), lambda: time.perf_counter() - since, leaves)
        answer.stream.release()
        if found.first_event is None:
            answer.request_meta["response_time"] = _ms(time.perf_counter() - since)
            answer.failure(Refused(found.broken or "no event"))
            return found
        answer.request_meta["response_time"] = _ms(found.first_event)
        answer.success()
    if found.first_token is not None:
        event(user, measured.FIRST_TOKEN, found.first_token)
    if found.left is not None:
        event(user, measured.LEFT, found.left)
    else:
        broken = Refused(f"broken: {found.broken}") if found.end is None else None
        event(user, measured.END, found.end if found.end is not None else time.perf_counter() - since, broken)
    return found


def send_document(user: FastHttpUser, chance: random.Random) -> None:
    """POST a document, wait until it is findable, and take it away again."""
    word = f"zq{chance.randrange(10**9):09d}"
    body = {"title": f"Load test {word}", "text": f"The word of this document is {word}. A load test sent it and will remove it.",
            "collection": COLLECTION}  # fmt: skip
    with _post(user, "/v1/documents", body, measured.SENT) as answer:
        if (refused := refusal(answer, 202)) is not None:
            answer.failure(refused)
            return
        identity = str(answer.json()["id"])
    since = time.perf_counter()
    try:
        event(user, measured.FINDABLE, *_indexed(user, identity, since))
    except gevent.GreenletExit:  # the run is over, and this one has had --stop-timeout more
        event(user, measured.FINDABLE, time.perf_counter() - since, Refused("not findable at the end"))
        raise
    finally:
        with user.client.delete(f"/v1/documents/{identity}", name=measured.REMOVED, catch_response=True) as answer:
            if answer.status_code not in (200, 202, 204, 404):
                answer.failure(refusal(answer, 204) or Refused("not removed"))


def _indexed(user: FastHttpUser, identity: str, since: float) -> tuple[float, Exception | None]:
    status = "unknown"
    while (taken := time.perf_counter() - since) < INDEXED_SECONDS:
        with user.client.get(f"/v1/documents/{identity}", name="document, looked up", catch_response=True) as answer:
            if (refused := refusal(answer)) is not None:
                answer.failure(refused)
            else:
                status = str(answer.json()["status"])
        if status == "indexed":
            return taken, None
        if status == "failed":
            return taken, Refused("the document failed")
        gevent.sleep(POLL_SECONDS)
    return taken, Refused(f"not findable after {INDEXED_SECONDS:.0f} s: {status}")


def health(user: FastHttpUser) -> None:
    """GET /readyz, as a load balancer does, through the load balancer."""
    with user.client.get("/readyz", name=measured.HEALTH, catch_response=True) as answer:
        if (refused := refusal(answer)) is not None:
            answer.failure(refused)


def event(user: FastHttpUser, name: str, seconds: float, error: Exception | None = None) -> None:
    """Count something that is no request of its own."""
    user.environment.events.request.fire(request_type="EVENT", name=name, response_time=_ms(seconds), response_length=0,
                                         exception=error, context={}, start_time=time.time() - seconds, url=None, response=None)  # fmt: skip


def refusal(answer: ResponseContextManager, wanted: int = 200) -> Refused | None:
    """Why this is not the answer; None when it is. The service's own code, where it said one (RFC 9457)."""
    if answer.status_code == wanted:
        return None
    if answer.status_code == 0:
        return Refused(f"no answer: {type(getattr(answer, 'error', None)).__name__}")
    try:
        code = str(answer.json()["code"])
    except (ValueError, KeyError, TypeError):
        code = "no problem document"
    return Refused(f"{answer.status_code} {code}")


def _post(user: FastHttpUser, path: str, body: dict[str, Any], name: str, *, stream: bool = False) -> ResponseContextManager:
    return user.client.post(path, json=body, name=name, catch_response=True, stream=stream)


def _lines(answer: ResponseContextManager) -> Iterator[bytes]:
    """As they arrive; the library gives nothing at the end."""
    while line := answer.stream.readline(b"\n"):
        yield line


def _ms(seconds: float) -> float:
    return seconds * 1000
