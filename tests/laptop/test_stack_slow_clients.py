"""Clients that send a byte a second, read nothing or break off, at the real load balancer: everybody else is answered, and they are put out."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from h2.connection import H2Connection
from h2.errors import ErrorCodes

from teal.laptop import caddyfile
from teal.metrics.scrape import FrontErrors
from tests.parts.app.service import until
from tests.services import caddy_process
from tests.services.http_stand_in import Handler

pytestmark = [pytest.mark.integration, pytest.mark.long]

EACH = 100  # connections that send a head a byte a second, as many that send a body so, and as many that read nothing
STILL = 10  # connections that send a part of a body and then nothing
BROKEN = 20  # requests: ten for each of the two processes
# An answer takes milliseconds; a load balancer that takes both processes for failed waits up to 2 s for one.
NO_WAIT_SECONDS = 1.0
PATIENCE_SECONDS = 6  # of the load balancer, in this test: an answer, and a body
HEAD_SECONDS = 10  # of the load balancer, always: a request's head
LARGE_BYTES = 50_000_000  # of an answer: more than all buffers on its way hold
SLOW_ANSWER_SECONDS = 3.0  # of an ordinary request, on two cores that hold 300 other connections

# What follows a request's first lines, with bodies that no process gets whole. TOO_LARGE is whole, and larger than a question may be.
CUT_OFF = b"Content-Length: 200000\r\n\r\n{" + b" " * 70_000
MALFORMED = b"Transfer-Encoding: chunked\r\n\r\n11170\r\n" + b" " * 70_000 + b"\r\nno size\r\n"
NO_SIZE = b"Transfer-Encoding: chunked\r\n\r\n\r\n"
NO_END = b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n"
TOO_LARGE = b"Transfer-Encoding: chunked\r\n\r\n493E0\r\n" + b" " * 300_000 + b"\r\n0\r\n\r\n"


class App(Handler):
    """Answers /large with more than buffers take, and everything else at once."""

    protocol_version = "HTTP/1.1"
    held = 0
    came = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        body = bytes(LARGE_BYTES) if self.path == "/large" else b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with self.holding(), contextlib.suppress(OSError):
            self.wfile.write(body)

    def do_POST(self) -> None:
        with self.holding(), contextlib.suppress(OSError):
            # A body in chunks is read until the load balancer ends the connection.
            self.rfile.read(int(self.headers.get("Content-Length", -1)))
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        with App.lock:
            App.held += 1
            App.came += 1
        try:
            yield
        finally:
            with App.lock:
                App.held -= 1


@pytest.fixture
def front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[caddy_process.Front]:
    monkeypatch.setattr(caddyfile, "BODY_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(caddyfile, "ANSWER_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(App, "came", 0)
    with caddy_process.start(tmp_path, {"blue": (App, App), "green": (App, App)}) as started:
        yield started


def connected(front: caddy_process.Front, protocol: str = "http/1.1") -> ssl.SSLSocket:
    place = urlsplit(front.url)
    context = ssl.create_default_context(cafile=str(front.layout.ca))
    context.set_alpn_protocols([protocol])
    raw = socket.create_connection((place.hostname or "", place.port or 0), timeout=30)
    return context.wrap_socket(raw, server_hostname=place.hostname)


def test_clients_that_trickle_or_do_not_read_keep_nobody_waiting_and_are_put_out(front: caddy_process.Front) -> None:
    heads = [connected(front) for _ in range(EACH)]
    bodies = [connected(front) for _ in range(EACH)]
    deaf = [connected(front) for _ in range(EACH)]
    still = [connected(front) for _ in range(STILL)]
    everybody = [*heads, *bodies, *deaf, *still]
    waits = []
    try:
        for one in heads:
            one.sendall(b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        for one in bodies:
            one.sendall(b"POST /v1/documents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n{" + b" " * 70_000)
        for one in still:
            one.sendall(b"POST /v1/documents HTTP/1.1\r\nHost: localhost\r\n" + CUT_OFF)
        for one in deaf:
            one.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until("the slow ones are at the app", lambda: App.came >= 2 * EACH, 30)
        began = time.monotonic()
        with front.client() as http:
            while time.monotonic() - began < HEAD_SECONDS + PATIENCE_SECONDS:
                for one in (*heads, *bodies):
                    with contextlib.suppress(OSError):  # it was put out
                        one.sendall(b" ")
                asked = time.monotonic()
                assert http.post("/v1/search", content=b'{"query": "x"}').status_code == 200
                assert http.get("/").status_code == 200
                waits.append(time.monotonic() - asked)
                time.sleep(max(0.0, 1 - waits[-1]))
        assert max(waits) < SLOW_ANSWER_SECONDS, f"somebody else waited {max(waits):.1f} s"
        until("nobody holds the app", lambda: App.held == 0, 30)
        assert all(map(put_out, (*heads, *bodies, *still)))
    finally:
        for one in everybody:
            one.close()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/documents", CUT_OFF, id="a document cut off"),
        pytest.param("/v1/documents", MALFORMED, id="a malformed document"),
        pytest.param("/v1/documents", NO_SIZE, id="a document whose chunk has no size"),
        pytest.param("/v1/documents", NO_END, id="a document without an end"),
        pytest.param("/v1/search", CUT_OFF, id="a question cut off"),
        pytest.param("/v1/search", MALFORMED, id="a malformed question"),
        pytest.param("/v1/search", TOO_LARGE, id="a question that is too large"),
    ],
)
def test_clients_that_send_broken_bodies_put_no_process_out(front: caddy_process.Front, path: str, body: bytes) -> None:
    log = front.layout.logs / "access.log"
    errors = FrontErrors(log)
    errors.read()
    everybody = [connected(front) for _ in range(BROKEN)]
    for one in everybody:
        with contextlib.suppress(OSError):  # it was put out
            one.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n".encode() + body)
            one.shutdown(socket.SHUT_WR)
    assert all(map(put_out, everybody))
    await_logged(log, path)
    with front.client() as http:
        asked = time.monotonic()
        assert http.post("/v1/search", content=b'{"query": "x"}').status_code == 200
        assert time.monotonic() - asked < NO_WAIT_SECONDS, "the load balancer took the processes for failed and waited"
    assert set(errors.read().values()) == {0}, "they count as errors of the service, and so against a release"


@pytest.mark.parametrize("path", ["/v1/documents", "/v1/search"])
@pytest.mark.parametrize("how", ["ended early", "stands still", "reset"])
def test_a_broken_body_over_http_2_counts_as_no_error_of_the_service(front: caddy_process.Front, path: str, how: str) -> None:
    log = front.layout.logs / "access.log"
    errors = FrontErrors(log)
    errors.read()
    http = H2Connection()
    http.initiate_connection()
    asked = [(":method", "POST"), (":path", path), (":scheme", "https"), (":authority", "localhost")]
    with connected(front, "h2") as one:
        for stream in range(1, 2 * BROKEN, 2):
            http.send_headers(stream, [*asked, *([] if how == "reset" else [("content-length", "200")])])
            http.send_data(stream, b"{" + b" " * 20, end_stream=how == "ended early")
        one.sendall(http.data_to_send())
        until("the load balancer has passed the requests on", lambda: App.came >= (BROKEN if path == "/v1/documents" else 0), 30)
        if how == "reset":
            for stream in range(1, 2 * BROKEN, 2):
                http.reset_stream(stream, ErrorCodes.CANCEL)
            one.sendall(http.data_to_send())
        await_logged(log, path)
    assert set(errors.read().values()) == {0}


def await_logged(log: Path, path: str) -> None:
    until("every one is in the load balancer's log", lambda: log.read_text().count(f'"uri":"{path}"') == BROKEN, 30)


def put_out(one: ssl.SSLSocket) -> bool:
    """Whether the other end has closed this connection."""
    one.settimeout(5)
    try:
        while one.recv(65_536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True
