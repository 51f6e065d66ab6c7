"""An app process stays small and quick under requests that are made to be expensive."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import httpx
import pytest

from tests.parts.app.service import Service

pytestmark = pytest.mark.integration

JSON = "application/json"
FORM = "multipart/form-data; boundary=cut"
OTHER_FORM = "application/x-www-form-urlencoded"
LIMIT_BYTES = 400_000_000  # of an app's resident memory, at its highest
LARGEST_BYTES = 20_000_000  # what a document of the default limit may have as JSON
SIDE_BY_SIDE = 16


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    environment = {"TEAL_EMBEDDING": "none", "TEAL_RATE_LIMIT_PER_SECOND": "100000"}
    running = Service(tmp_path_factory.mktemp("memory"), environment)
    try:
        yield running.start()
    finally:
        running.stop()


@cache
def body(name: str) -> bytes:
    """By name, so that a failure shows names and not megabytes."""
    match name.partition(" "):
        case ("fields", _, size_bytes):  # an object of as many fields as fit, none of which anybody knows
            return b"{" + b",".join(b'"%07x":0' % number for number in range(int(size_bytes) // 12)) + b"}"
        case ("lists", _, size_bytes):
            return b"[" + b"[]," * (int(size_bytes) // 3)
        case ("files", _, count):  # each too small to be put on the disk
            one = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' + b"x" * 1_000_000 + b"\r\n"
            return one * int(count) + b"--cut--\r\n"
        case ("ampersands", _, size_bytes):
            return b"&" * int(size_bytes)
        case ("wide", _, size_bytes):  # four bytes in memory for each character, and a text that is none
            return b'{"text": 1, "title": "' + "😀".encode() * (int(size_bytes) // 4) + b'"}'
        case ("sources", _, size_bytes):
            return b'{"question": "x", "filters": {"sources": [' + b"1," * (int(size_bytes) // 2) + b"1]}}"
        case _:
            return b'{"question": "' + b"x" * 3_000 + b'"}'


def highest_bytes(service: Service) -> int:
    status = Path(f"/proc/{service.processes['app-0'].pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def attack(service: Service, requests: list[tuple[str, str | None, str]], kind: str = JSON) -> list[int]:
    """The statuses; 0 where the service hung up on a body that it did not want to read. A searcher asks all the while."""
    clients = {key: service.client_with(key) for _, key, _ in requests}

    def send(one: tuple[str, str | None, str]) -> int:
        path, key, name = one
        try:
            return clients[key].post(path, content=body(name), headers={"content-type": kind}).status_code
        except httpx.TransportError:
            return 0

    stop, waits = threading.Event(), [0.0]

    def search() -> None:
        with service.client("reader") as reader:
            for number in itertools.count():
                began = time.monotonic()
                assert reader.post("/v1/search", json={"query": f"lighthouse {number}"}).status_code == 200
                waits.append(time.monotonic() - began)
                if stop.wait(0.1):
                    return

    with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE + 1) as pool:
        searching = pool.submit(search)
        try:
            found = list(pool.map(send, requests))
        finally:
            stop.set()
        searching.result()
    for client in clients.values():
        client.close()
    assert max(waits) < 5, f"a question waited {max(waits):.1f} s"
    return found


def test_large_hostile_bodies_leave_an_app_below_400_mb(service: Service) -> None:
    reader, writer = service.key("reader"), service.key("writer")
    requests = [
        ("/v1/session", None, f"fields {LARGEST_BYTES}"),
        ("/v1/session", None, "fields 4000"),
        ("/v1/search", reader, f"fields {LARGEST_BYTES}"),
        ("/v1/search", reader, "fields 262000"),
        ("/v1/ask", reader, "sources 262000"),
        ("/v1/documents", reader, f"fields {LARGEST_BYTES}"),
        ("/v1/documents", writer, f"fields {LARGEST_BYTES}"),
        ("/v1/documents", writer, f"lists {LARGEST_BYTES}"),
        ("/v1/documents", writer, f"wide {LARGEST_BYTES}"),
    ]
    found = attack(service, requests * 4)
    assert set(found) <= {0, 403, 413, 422, 429}
    assert highest_bytes(service) < LIMIT_BYTES, f"{highest_bytes(service):,} bytes"


def test_forms_leave_an_app_below_400_mb(service: Service) -> None:
    """What says that it is a form passes by the room for JSON: a form of many files, on a route that takes one file, on routes that take none."""
    writer = service.key("writer")
    for kind, name in ((FORM, "files 19"), (FORM, f"wide {LARGEST_BYTES}"), (OTHER_FORM, f"ampersands {LARGEST_BYTES}")):
        for path in ("/v1/documents/upload", "/v1/documents"):
            began = time.monotonic()
            found = attack(service, [(path, writer, name)] * 12, kind)
            assert set(found) <= {0, 415, 422, 429}, (path, kind, found)
            assert time.monotonic() - began < 20, f"{path} {name} took {time.monotonic() - began:.0f} s"
    assert highest_bytes(service) < LIMIT_BYTES, f"{highest_bytes(service):,} bytes"


def test_forms_that_never_end_hold_little(service: Service) -> None:
    """Forty connections that send 19 MB each but for the last bytes, and then wait."""
    sent, held = body("files 19"), list[socket.socket]()
    head = f"POST /v1/documents/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.key('writer')}\r\nContent-Type: {FORM}\r\n"
    try:
        for _ in range(40):
            held.append(one := socket.create_connection(("127.0.0.1", service.ports[0]), timeout=10))
            with contextlib.suppress(OSError):  # the service hung up
                one.sendall(f"{head}Content-Length: {len(sent) + 100}\r\n\r\n".encode() + sent)
        assert highest_bytes(service) < LIMIT_BYTES, f"{highest_bytes(service):,} bytes"
    finally:
        for one in held:
            one.close()


@pytest.mark.long
@pytest.mark.weekly  # four minutes; what is large is tried in each run, above
def test_ten_thousand_hostile_requests_leave_an_app_below_400_mb(service: Service) -> None:
    reader, writer = service.key("reader"), service.key("writer")
    requests = [
        ("/v1/session", None, "fields 4000"),
        ("/v1/search", reader, "fields 20000"),
        ("/v1/ask", reader, "long question"),
        ("/v1/documents", writer, "fields 20000"),
        ("/v1/documents/" + "x" * 2_000 + "/retry", reader, "long question"),
    ]
    found = attack(service, requests * 2_000)
    assert set(found) <= {403, 404, 422}
    assert highest_bytes(service) < LIMIT_BYTES, f"{highest_bytes(service):,} bytes"
