"""The requests of simulated users, and how each answer is counted.
`due`: the time of `time.perf_counter` from which latency counts; None: now.

Each request is counted once: as answered, as failed with its reason,
or in `not_sent` when the generator itself could not send it.
"""

from __future__ import annotations

import errno
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import gevent
from locust.contrib.fasthttp import FastHttpUser, ResponseContextManager
from locust.user.task import LOCUST_STATE_WAITING

from loadtests import measured
from loadtests.meter import METER
from loadtests.streams import Stream, read_stream

INDEXED_SECONDS: Final = 60.0  # an uploaded document that is not findable within this time has failed
POLL_SECONDS: Final = 1.0
COLLECTION: Final = "load-test"  # of uploaded documents, separate from those of real users
AT_THE_END: Final = "unanswered at the end"
# Errors of the generator's machine (no descriptors, ports or memory left), which are not the service's fault.
OWN_FAULTS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
_HEADERS: Final = {"Content-Type": "application/json", "Accept": "application/json"}
_STREAMED: Final = {"Content-Type": "application/json", "Accept": "text/event-stream"}
_NO_HITS: Final = re.compile(rb'"hits"\s*:\s*\[\s*\]')

Check = Callable[[bytes], "FailedCall | None"]


class FailedCall(Exception):
    """The service gave a wrong answer, or a request was not sent. Locust groups failures by the text."""


class Limits(dict[str, float]):
    """Seconds by name of requests: an answer within all of them is good. Empty: every answer is."""

    def kept(self, name: str, seconds: float | None) -> bool:
        return seconds is not None and seconds <= self.get(name, float("inf"))


class LoadUser(FastHttpUser):
    """A Locust user that can judge answers. `sends`: names of the requests that it counts."""

    abstract = True
    sends: tuple[str, ...] = ()
    limits: Limits
    leaves_now = False

    def stop(self, force: bool = False) -> bool:
        """Note that Locust kills this user. A user whose wait ends at that moment would otherwise send a request and be killed in
        the middle of it."""
        self.leaves_now = self._state in (None, LOCUST_STATE_WAITING)
        return bool(super().stop(force))

    def leave_if_killed(self, due: float | None) -> None:
        """Called before each request. Raises GreenletExit when the user is being killed;
        a request with its own due time is sent all the same."""
        if self.leaves_now and due is None:
            raise gevent.GreenletExit


def search(user: LoadUser, question: str, due: float | None = None) -> None:
    """POST /v1/search. An answer without hits is a failure, because a search of an empty index would look fast."""
    began = time.perf_counter() if due is None else due
    body = {"query": question, "top_k": measured.TOP_K}
    if counted_request(user, "POST", "/v1/search", measured.SEARCH, body, check=has_hits, due=due) is None:
        return
    if user.limits.kept(measured.SEARCH, time.perf_counter() - began):
        METER.counted.good += 1


def ask(user: LoadUser, question: str, due: float | None = None, leaves: Callable[[Stream], bool] = lambda _: False) -> Stream:
    """POST /v1/ask as a stream. Each event is counted when it happens.
    When `leaves` returns true, the user closes the connection."""
    user.leave_if_killed(due)
    began = time.perf_counter()
    since = began if due is None else due
    found, answer, booking = Stream(), None, None
    METER.sent(measured.FIRST_EVENT, None if due is None else began - since)
    METER.counted.streams += 1
    try:
        answer = user.client.post("/v1/ask", data=json.dumps({"question": question, "stream": True}), headers=_STREAMED,
                                  name=measured.FIRST_EVENT, catch_response=True, stream=True)  # fmt: skip
        if (refused := _begun(answer, measured.FIRST_EVENT, (200,))) is not None:
            _count(user, answer, time.perf_counter() - since, refused)
            return found
        booking = _Booking(user, answer)
        found = read_stream(_lines(answer), lambda: time.perf_counter() - since, leaves, booking)
        if found.first_event is None:
            _count(user, answer, time.perf_counter() - since, FailedCall(found.broken or "no event"))
            return found
        broken = FailedCall(f"broken: {found.broken}") if found.broken is not None else None
        event(user, measured.LEFT if found.left is not None else measured.END,
              next(at for at in (found.left, found.end, time.perf_counter() - since) if at is not None), broken)  # fmt: skip
        if broken is None and _good(user, found):
            METER.counted.good += 1
        return found
    except RequestNotSent:
        return found
    except gevent.GreenletExit:  # the run is over, and this request has used all the time that it had to end
        begun = booking is not None and booking.begun
        event(user, measured.END if begun else measured.FIRST_EVENT, time.perf_counter() - since, FailedCall(AT_THE_END))
        raise
    finally:
        METER.counted.streams -= 1
        if answer is not None and answer.stream is not None:
            answer.stream.release()


class _Booking:
    """Counts the first event, the first token and the gaps between tokens of one stream when they happen."""

    def __init__(self, user: LoadUser, answer: ResponseContextManager) -> None:
        self._user, self._answer = user, answer
        self._tokens, self._last = 0, 0.0
        self.begun = False

    def __call__(self, found: Stream) -> None:
        if not self.begun and found.first_event is not None:
            self.begun = True
            _count(self._user, self._answer, found.first_event, None)
        if found.tokens > self._tokens and found.last_token is not None:
            if self._tokens == 0:
                event(self._user, measured.FIRST_TOKEN, found.last_token)
            METER.token(None if self._tokens == 0 else found.last_token - self._last)
            self._tokens, self._last = found.tokens, found.last_token


def _count(user: LoadUser, answer: ResponseContextManager, seconds: float, error: Exception | None) -> None:
    """Count a request now. Locust's `with` would count it at the end of its block, and a stream's first event is long before."""
    user.environment.events.request.fire(**{**answer.request_meta, "response_time": seconds * 1000, "exception": error})


def _good(user: LoadUser, found: Stream) -> bool:
    """Whether every time with a limit was within it. For a user who left early, only the events until then count."""
    end = (measured.LEFT, found.left) if found.left is not None else (measured.END, found.end)
    moments = [(measured.FIRST_EVENT, found.first_event), end]
    if found.tokens:
        moments.append((measured.FIRST_TOKEN, found.first_token))
    return all(user.limits.kept(name, seconds) for name, seconds in moments)


class RequestNotSent(Exception):
    """The generator itself could not send the request. It is already counted, but not as a failure of the service."""


def counted_request(
    user: LoadUser,
    method: str,
    path: str,
    name: str,
    body: dict[str, Any] | None = None,
    *,
    wanted: tuple[int, ...] = (200,),
    check: Check | None = None,
    due: float | None = None,
) -> bytes | None:
    """Send and count one request. Returns its body if the status is wanted and `check` accepts it, else None."""
    user.leave_if_killed(due)
    began = time.perf_counter()
    since = began if due is None else due
    METER.sent(name, None if due is None else began - since)
    try:
        answer = user.client.request(method, path, name=name, data=json.dumps(body) if body is not None else None,
                                     headers=_HEADERS, catch_response=True)  # fmt: skip
        refused = _begun(answer, name, wanted)
        content = b"" if refused else answer.content or b""
        if refused is None and check is not None:
            refused = check(content)
        _count(user, answer, time.perf_counter() - since, refused)
        return content if refused is None else None
    except RequestNotSent:
        return None
    except gevent.GreenletExit:
        event(user, name, time.perf_counter() - since, FailedCall(AT_THE_END))
        raise
    except Exception as error:  # noqa: BLE001 - any error of a parser means that the answer is wrong
        event(user, name, time.perf_counter() - since, FailedCall(f"unreadable: {type(error).__name__}"))
        return None


def _begun(answer: ResponseContextManager, name: str, wanted: tuple[int, ...]) -> FailedCall | None:
    """Why the response is wrong; None when it is right. Raises RequestNotSent when the generator failed."""
    if answer.status_code == 0 and (fault := own_fault(getattr(answer, "error", None))) is not None:
        METER.not_sent(name, fault)
        raise RequestNotSent
    if answer.status_code:
        METER.answered(name)
        if answer.headers is not None and (timing := answer.headers.get("server-timing")):
            METER.timed(str(timing))
    return failed_call(answer, wanted)


def own_fault(error: BaseException | None) -> str | None:
    """The generator's own failure as text, if that is why nothing was sent; else None."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in OWN_FAULTS:
            return f"{errno.errorcode[error.errno]}: {error.strerror}"
        error = error.__cause__ or error.__context__
    return None


def has_hits(content: bytes) -> FailedCall | None:
    """Check for hits in the raw bytes, because parsing ten passages would cost the generator as much as sending the request."""
    if b'"hits"' not in content:
        return FailedCall("unreadable: no hits in it")
    return FailedCall("no hits") if _NO_HITS.search(content) else None


def send_document(user: LoadUser, chance: random.Random, characters: int = 0) -> None:
    """POST a document of about `characters` characters, wait until it is findable, and delete it again."""
    word = f"zq{chance.randrange(10**9):09d}"
    text = f"The word of this document is {word}. A load test sent it and will remove it."
    body = {"title": f"Load test {word}", "text": f"{text} " * max(1, characters // len(text)), "collection": COLLECTION}
    content = counted_request(user, "POST", "/v1/documents", measured.SENT, body, wanted=(202,), check=_field("id"))
    if content is None:
        return
    identity, since = str(json.loads(content)["id"]), time.perf_counter()
    try:
        event(user, measured.FINDABLE, *_indexed(user, identity, since))
    except gevent.GreenletExit:
        event(user, measured.FINDABLE, time.perf_counter() - since, FailedCall("not findable at the end"))
        raise
    finally:
        counted_request(user, "DELETE", f"/v1/documents/{identity}", measured.REMOVED, wanted=(200, 202, 204, 404))


def _indexed(user: LoadUser, identity: str, since: float) -> tuple[float, Exception | None]:
    status = "unknown"
    while (taken := time.perf_counter() - since) < INDEXED_SECONDS:
        content = counted_request(user, "GET", f"/v1/documents/{identity}", measured.LOOKED_UP, check=_field("status"))
        status = status if content is None else str(json.loads(content)["status"])
        if status == "indexed":
            return taken, None
        if status == "failed":
            return taken, FailedCall("the document failed")
        gevent.sleep(POLL_SECONDS)
    return taken, FailedCall(f"not findable after {INDEXED_SECONDS:.0f} s: {status}")


def _field(name: str) -> Check:
    """A check that the answer is an object with this field."""

    def check(content: bytes) -> FailedCall | None:
        found = json.loads(content)
        return None if isinstance(found, dict) and name in found else FailedCall(f"unreadable: no {name}")

    return check


def health(user: LoadUser) -> None:
    """GET /readyz, as a load balancer does, through the load balancer."""
    counted_request(user, "GET", "/readyz", measured.HEALTH)


def event(user: LoadUser, name: str, seconds: float, error: Exception | None = None) -> None:
    """Count an event that is no separate request."""
    user.environment.events.request.fire(request_type="EVENT", name=name, response_time=seconds * 1000, response_length=0,
                                         exception=error, context={}, start_time=time.time() - seconds, url=None, response=None)  # fmt: skip


def failed_call(answer: ResponseContextManager, wanted: tuple[int, ...] = (200,)) -> FailedCall | None:
    """Why this is not the answer; None when it is. The service's own code, where it said one (RFC 9457)."""
    if answer.status_code == 0:
        return FailedCall(f"no answer: {_innermost(getattr(answer, 'error', None))}")
    if answer.status_code in wanted:
        # An exception here means that the body was cut off.
        cut = answer.request_meta["exception"]
        return FailedCall(f"broken: {type(cut).__name__} in the middle of the answer") if cut is not None else None
    try:
        code = str(answer.json()["code"])
    except Exception:  # noqa: BLE001 - an error page may have any content, or be cut off too
        code = "no problem document"
    return FailedCall(f"{answer.status_code} {code}")


def _innermost(error: BaseException | None) -> str:
    """The name of the innermost error, which HTTP clients wrap."""
    while error is not None and (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return type(error).__name__


def _lines(answer: ResponseContextManager) -> Iterator[bytes]:
    """The lines of a stream as they arrive; the library returns an empty value at the end."""
    while line := answer.stream.readline(b"\n"):
        yield line
