"""What no route may fall for, sent to every route of the service's own schema, so that a new route is attacked from the day it is written."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from contract.bodies import limit_bytes
from tests.parts.app.service import Service

pytestmark = pytest.mark.integration

MAX_DOCUMENT_BYTES = 100_000
SECONDS = 5.0  # for one refusal, on a busy machine; what explodes takes minutes


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    environment = {
        "TEAL_EMBEDDING": "none",
        "TEAL_RATE_LIMIT_PER_SECOND": "100000",
        "TEAL_MAX_DOCUMENT_BYTES": str(MAX_DOCUMENT_BYTES),
    }
    running = Service(tmp_path_factory.mktemp("routes"), environment)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="module")
def admin(service: Service) -> Iterator[httpx.Client]:
    with service.client("admin") as client:
        yield client


def routes(client: httpx.Client) -> list[tuple[str, str]]:
    """Method and address of every operation, with an id where the path wants one."""
    found = client.get("/openapi.json").json()["paths"]
    return [
        (method.upper(), path.replace("{", "").replace("}", "")) for path, operations in found.items() for method in operations
    ]


def with_body(client: httpx.Client) -> list[tuple[str, str]]:
    return [(method, path) for method, path in routes(client) if method in ("POST", "PUT", "PATCH")]


def in_order(answer: httpx.Response, *statuses: int) -> None:
    said = f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:200]}"
    assert answer.status_code in statuses, said
    assert answer.elapsed.total_seconds() < SECONDS, said
    assert len(answer.content) < 20_000, said
    assert "Traceback" not in answer.text, said


def test_a_body_beyond_the_path_s_limit_is_refused_declared_or_not(admin: httpx.Client) -> None:
    assert len(with_body(admin)) > 6
    for method, path in with_body(admin):
        body = b"x" * (limit_bytes(path, MAX_DOCUMENT_BYTES) + 1)
        for kind in ("application/json", "multipart/form-data; boundary=cut", "application/x-www-form-urlencoded", "text/plain"):
            for content in (body, iter([body[:1000], body[1000:]])):
                in_order(admin.request(method, path, content=content, headers={"content-type": kind}), 413, 415, 422)


def test_depth_width_and_odd_forms_are_refused_at_once(admin: httpx.Client) -> None:
    for method, path in with_body(admin):
        size = limit_bytes(path, MAX_DOCUMENT_BYTES) - 100
        for unit, kind in (
            (b"[", "application/json"), (b'{"a":', "application/json"), (b'{"a":1},', "application/json"), (b"&", "application/x-www-form-urlencoded"),
            (b"a=b&", "application/x-www-form-urlencoded"), (b"--cut\r\n", "multipart/form-data; boundary=cut"),
            (b"a:b\r\n", "multipart/form-data; boundary=cut"),
        ):  # fmt: skip
            answer = admin.request(method, path, content=unit * (size // len(unit)), headers={"content-type": kind})
            in_order(answer, *((204,) if path.startswith("/v1/session") else ()), 404, 415, 422)


def test_a_parameter_that_nobody_knows_is_refused_however_many_there_are(admin: httpx.Client) -> None:
    many = "&".join(f"x{number}=1" for number in range(4_000))
    for method, path in routes(admin):
        if path.startswith("/v1/") and not path.startswith("/v1/session"):
            in_order(admin.request(method, f"{path}?{many}"), 404, 415, 422)


def test_ranges_and_conditions_make_no_answer_long(admin: httpx.Client) -> None:
    ranges = "bytes=" + ",".join(f"{number}-{number + 1}" for number in range(0, 12_000, 2))
    in_order(admin.get("/static/nothing", headers={"range": ranges}), 404)
    began = time.monotonic()
    answer = admin.get("/static/style.css", headers={"range": ranges[:50_000]})
    assert answer.status_code in (200, 206, 400, 416)
    assert len(answer.content) < 3_000_000
    assert time.monotonic() - began < SECONDS


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Content-Length: 0x5",
        "Content-Length: 99999999999999999999999999",
        "X-Large: " + "a" * 70_000,
        "\r\n".join(f"X-{number}: a" for number in range(9_000)),
    ],
    ids=lambda lines: lines[:30],
)
def test_a_head_that_can_be_read_in_two_ways_or_has_no_end_reaches_no_route(service: Service, lines: str) -> None:
    key = service.key("reader")
    for method, path in (("POST", "/v1/search"), ("POST", "/v1/session"), ("GET", "/v1/documents")):
        with socket.create_connection(("127.0.0.1", service.ports[0]), timeout=SECONDS) as raw:
            raw.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{lines}\r\n\r\nabcde".encode())
            answer = raw.recv(10_000)
        assert not answer.startswith(b"HTTP/1.1 2"), (method, path, answer[:200])
        assert b"Traceback" not in answer
