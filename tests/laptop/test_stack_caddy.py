"""The load balancer in front of two stand-in processes: what it hides, passes on and refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from teal.client.entry import PROBE_HEADER
from teal.laptop import caddyfile
from teal.metrics.scrape import FrontErrors
from teal.record.model import Color
from tests.parts.app.service import until
from tests.services import caddy_process
from tests.services.http_stand_in import Handler

pytestmark = pytest.mark.integration


class App(Handler):
    """Ready, echoes headers, streams two events, the second when `go_on` is set; `drops` closes the connection instead of answering a POST."""

    protocol_version = "HTTP/1.1"
    drops = False
    go_on = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/stream":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            for number in range(2):
                self.wfile.write(f"data: {number}\n\n".encode())
                self.wfile.flush()
                App.go_on.wait(60)
            self.close_connection = True
            return
        self.answer(body=json.dumps(dict(self.headers.items())).encode())

    def do_POST(self) -> None:
        body = self.received()
        if self.drops:
            self.close_connection = True
            return
        self.answer(body=json.dumps({"got": body.decode()}).encode())


class DroppingApp(App):
    drops = True


class CrashingApp(App):
    """Is gone as soon as a body begins to come."""

    def do_POST(self) -> None:
        self.rfile.read(1)
        self.close_connection = True


@pytest.fixture
def front(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    apps = {"blue": (App, getattr(request, "param", App)), "green": (App, App)}
    with caddy_process.start(tmp_path, apps) as started, started.client() as http:
        yield http


def test_what_a_client_claims_about_itself_never_reaches_the_app(front: httpx.Client) -> None:
    forged = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil", "Forwarded": "for=6.6.6.6"}
    seen = {name.lower(): value for name, value in front.get("/", headers=forged).json().items()}
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "https"
    assert seen["x-forwarded-host"].startswith("localhost:")
    assert "forwarded" not in seen


def test_streams_pass_through_unbuffered(front: httpx.Client) -> None:
    App.go_on.clear()
    with front.stream("GET", "/stream") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: 0", "the app sends no more until this was read"
        App.go_on.set()
        assert list(lines) == ["", "data: 1", ""]


def test_a_body_above_the_limit_is_refused_as_a_problem(front: httpx.Client) -> None:
    limit_bytes = caddyfile.max_body_bytes({})
    assert front.post("/v1/documents", content=b"0" * limit_bytes).status_code == 200
    answer = front.post("/v1/documents", content=b"0" * (limit_bytes + 1))
    body = answer.json()
    assert (answer.status_code, body["code"], body["type"]) == (413, "too-large", "/errors#too-large")
    assert str(limit_bytes) in body["detail"]


@pytest.mark.parametrize(("path", "limit_bytes"), [("/v1/search", 262_144), ("/v1/session", 4_096), ("/v1/new", 4_096)])
def test_a_question_and_a_path_that_nobody_named_take_less(front: httpx.Client, path: str, limit_bytes: int) -> None:
    assert front.post(path, content=b"0" * limit_bytes).status_code == 200
    assert front.post(path, content=b"0" * (limit_bytes + 1)).status_code == 413


def test_the_load_balancers_own_problems_carry_an_id_that_its_log_knows(front: httpx.Client, tmp_path: Path) -> None:
    answer = front.get("/metrics")
    body = answer.json()
    assert (answer.status_code, body["type"], body["status"]) == (404, "/errors#not-found", 404)
    assert len(body["request_id"]) == 36
    assert answer.headers["x-request-id"] == body["request_id"]
    log = tmp_path / ".teal" / "log" / "access.log"
    until("the request is in the log, which is written beside the answer", lambda: body["request_id"] in log.read_text(), 10)


def test_no_key_and_no_probes_secret_is_in_the_load_balancers_logs(front: httpx.Client, tmp_path: Path) -> None:
    key = f"teal_0123456789ab_{'k' * 43}"
    sent = {
        "Authorization": f"Bearer {key}",
        "Cookie": f"teal_session={'t' * 43}",
        "Referer": f"https://x/?{key}",
        PROBE_HEADER: "b" * 48,
    }
    for path in (f"/v1/documents/{key}?a={key}", "/metrics", "/v1/status"):
        front.get(path, headers=sent)
    logs = tmp_path / ".teal" / "log"
    until("the last request is in the log", lambda: "/v1/status" in (logs / "access.log").read_text(), 10)
    text = "".join(path.read_text() for path in logs.iterdir())
    assert "/v1/documents/REDACTED?a=REDACTED" in text
    for secret in (key, "k" * 43, "t" * 43, "b" * 48):
        assert secret not in text


@pytest.mark.parametrize("crashing", [DroppingApp, CrashingApp])
def test_a_process_that_dies_while_a_body_comes_counts_as_an_error_of_the_service(tmp_path: Path, crashing: type[App]) -> None:
    apps: dict[Color, tuple[type[App], ...]] = {"blue": (crashing, crashing), "green": (App, App)}
    with caddy_process.start(tmp_path, apps) as started, started.client() as http:
        errors = FrontErrors(started.layout.logs / "access.log")
        errors.read()
        statuses = [http.post("/v1/documents", content=b" " * size).status_code for size in (10, 100_000, 5_000_000)]
        assert statuses == [502, 502, 502]
        until("they are in the log, which is written beside the answer", lambda: errors.read()["blue"] == 3, 10)


@pytest.mark.parametrize("front", [DroppingApp], indirect=True)
def test_reads_are_repeated_elsewhere_and_writes_never(front: httpx.Client) -> None:
    for _ in range(10):
        answer = front.post("/v1/search", content=b'{"query": "x"}')
        assert (answer.status_code, answer.json()) == (200, {"got": '{"query": "x"}'})
    statuses = {front.post("/v1/documents", content=b"{}").status_code for _ in range(4)}
    assert statuses <= {200, 502, 503}
