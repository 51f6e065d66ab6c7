"""What clients should not send, sent to a real service on PostgreSQL, which refuses characters that SQLite takes."""

from __future__ import annotations

import concurrent.futures
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.errors import PROBLEMS
from tests.parts.app.service import Service, add, until, wait_status
from tests.services import postgres_process

pytestmark = pytest.mark.integration

JSON = {"content-type": "application/json"}
MULTIPART = {"content-type": "multipart/form-data; boundary=cut"}
LIMIT_BYTES = 1_000_000


@pytest.fixture(scope="module")
def service(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with postgres_process.fresh_database(postgres_url) as url:
        environment = {
            "DATABASE_URL": url,
            "TEAL_EMBEDDING": "none",
            "TEAL_MAX_DOCUMENT_BYTES": str(LIMIT_BYTES),
            "TEAL_RATE_LIMIT_PER_SECOND": "100000",
        }
        running = Service(tmp_path_factory.mktemp("hostile"), environment)
        try:
            yield running.start()
        finally:
            running.stop()


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client("admin") as admin:
        add(admin, "Lighthouse", "The lighthouse of Alexandria stood on the island of Pharos.")
        yield admin


@pytest.fixture(autouse=True)
def no_stack_trace_is_logged(service: Service, client: httpx.Client) -> Iterator[None]:
    log = service.folder / "app-0.log"
    before = log.stat().st_size
    yield
    assert "Traceback" not in log.read_text()[before:]


def refused(answer: httpx.Response, *statuses: int) -> None:
    """The answer is a problem with a known code, and tells nothing about our code."""
    assert answer.status_code in statuses, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert PROBLEMS[body["code"]].status == body["status"] == answer.status_code
    assert body["request_id"] == answer.headers["x-request-id"]
    assert not any(mark in answer.text for mark in ("Traceback", ".py", "sqlalchemy", "psycopg"))


@pytest.mark.parametrize(("path", "field"), [("/v1/search", "query"), ("/v1/ask", "question"), ("/v1/session", "key")])
@pytest.mark.parametrize(
    "value",
    [
        rb'"\ud800 lighthouse"',
        b'"\xff\xfe"',
        b'"\x01"',
        b"NaN",
        b"1e999",
        b"9" * 6000,
        b"[" * 100_000,
        b"[" * 50_000 + b"]" * 50_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'"' + b"x" * 2_100,
        b'"  "',
        b"null",
    ],
    ids=lambda value: repr(value[:12]),
)
def test_broken_json_is_refused_with_a_problem(client: httpx.Client, path: str, field: str, value: bytes) -> None:
    answer = client.post(path, content=b'{"%s": %s}' % (field.encode(), value), headers=JSON)
    refused(answer, 413 if len(value) > (4_000 if path == "/v1/session" else 256_000) else 422)


def test_an_answer_repeats_little_of_what_it_refuses(client: httpx.Client) -> None:
    for path, body in (
        ("/v1/search", {"x" * 1_000 + str(number): 1 for number in range(100)}),
        ("/v1/search", {"query": "a", "mode": "x" * 1_000, "filters": {"x" * 1_000: 1}}),
        ("/v1/documents", {"title": "a", "text": "b", "metadata": {"x" * 1_000: "y"}, "collection": "x" * 1_000}),
    ):
        answer = client.post(path, json=body)
        refused(answer, 422)
        assert "x" * 201 not in answer.text
        assert len(answer.json()["errors"]) <= 20
    for answer in (
        client.get(f"/v1/{'x' * 3_000}"),
        client.request("X" * 300, "/v1/search"),
        client.get(f"/v1/documents/{'x' * 3_000}"),
    ):
        assert answer.status_code in (400, 404, 405)
        assert "x" * 201 not in answer.text.lower()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\x00",
        b"{",
        rb'{"query": "x", "\ud800": 1}',
        b'{"query": "x", "nothing": 1}',
        b'{"query": {"a": 1}}',
    ],
)
def test_body_of_another_form_is_refused_with_a_problem(client: httpx.Client, body: bytes) -> None:
    refused(client.post("/v1/search", content=body, headers=JSON), 422)
    refused(client.post("/v1/documents", content=body, headers=JSON), 422)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data"},
        {"content-type": "multipart/form-data; boundary=cut"},
        {"content-type": "image/png"},
        {"content-type": ";;;"},
        JSON | {"content-encoding": "gzip"},
    ],
    ids=str,
)
def test_wrong_content_type_is_refused_with_a_problem(client: httpx.Client, headers: dict[str, str]) -> None:
    gzip = "content-encoding" in headers
    content = b"\x1f\x8b\x08\x00" if gzip else b'{"query": "lighthouse"}'
    refused(client.post("/v1/search", content=content, headers=headers), 422, 415)
    refused(client.post("/v1/documents/upload", content=content, headers=headers), 422, 415)


@pytest.mark.parametrize("field", ["title", "source", "metadata"])
def test_nul_that_postgresql_cannot_store_is_refused_by_name(client: httpx.Client, field: str) -> None:
    value: object = {"part": "a\x00b"} if field == "metadata" else "a\x00b"
    answer = client.post("/v1/documents", json={"title": "Title", "text": "Words.", field: value})
    refused(answer, 422)
    assert answer.json()["errors"][0]["field"].startswith(field)


def test_nul_inside_a_text_or_a_query_harms_nothing(client: httpx.Client) -> None:
    add(client, "Nul", "The periwinkle \x00flower.")
    assert client.post("/v1/search", json={"query": "periwinkle\x00"}).json()["hits"][0]["title"] == "Nul"
    filters = {"sources": ["\x00"], "document_ids": ["\x00"]}
    assert client.post("/v1/search", json={"query": "periwinkle", "filters": filters}).json()["hits"] == []


@pytest.mark.parametrize(
    "path",
    [
        "/v1/documents/%00",
        "/v1/documents/%ff",
        "/v1/documents/%ED%A0%80",
        "/v1/documents/..%2f..%2f..%2fetc%2fpasswd",
        "/v1/documents/" + "a" * 7000,
        "/static/..%2f..%2fpyproject.toml",
        "/static/../../pyproject.toml",
        "/static/%00",
        "/static//etc/passwd",
        "/v1/documents?cursor=%00",
        "/v1/documents?collection=%00",
        "/v1/documents?limit=99999999999999999999999",
        "/v1/documents?limit=-1",
        "/v1/documents?status=%ff",
    ],
    ids=lambda path: path[:40],
)
def test_address_that_leads_elsewhere_is_refused_with_a_problem(client: httpx.Client, path: str) -> None:
    refused(client.get(path), 404, 422)
    if path.startswith("/v1/documents/"):
        refused(client.delete(path), 404)
        refused(client.post(f"{path}/retry"), 404)


@pytest.mark.parametrize(
    ("said", "charset", "kept"),
    [
        (b"../../../etc/passwd.txt", "", "passwd.txt"),
        (rb"..\..\windows\system.ini.txt", "", "system.ini.txt"),
        (b"/etc/cron.d/job.txt", "", "job.txt"),
        (b"a\x00b.txt", "", "ab.txt"),
        (b"..", "", ".."),
        (b"", "", "upload"),
        (b"+2AA-.txt", "; charset=utf-7", "?.txt"),
        (rb"\ud800.txt", "; charset=unicode_escape", "?.txt"),
        (b"plain.txt", "; charset=no-such", "plain.txt"),
        (b"<script>alert(1)</script>.txt", "", "script>.txt"),
    ],
)
def test_name_of_a_file_is_only_a_name(service: Service, client: httpx.Client, said: bytes, charset: str, kept: str) -> None:
    files_before = set(service.folder.rglob("*"))
    body = upload(b"The kingfisher " + said.hex().encode(), said)
    answer = client.post("/v1/documents/upload", content=body, headers={"content-type": MULTIPART["content-type"] + charset})
    if not said:  # a part without a name is a field, or a file called "upload"
        assert answer.status_code in (202, 422)
        return
    assert answer.status_code == 202, answer.text
    assert wait_status(client, answer.json()["id"], "indexed", "failed")["title"] == kept
    new = {path.name for path in set(service.folder.rglob("*")) - files_before}
    assert not new & {"passwd.txt", "system.ini.txt", "job.txt", kept}


def upload(content: bytes, name: bytes, fields: bytes = b"") -> bytes:
    head = b'--cut\r\ncontent-disposition: form-data; name="file"; filename="' + name + b'"\r\n\r\n'
    return fields + head + content + b"\r\n--cut--\r\n"


@pytest.mark.parametrize("field", [b"title", b"source"])
@pytest.mark.parametrize(("value", "charset"), [(b"a\x00b", ""), (b"+2AA-", "; charset=utf-7")])
def test_field_beside_a_file_that_cannot_be_stored_is_refused(
    client: httpx.Client, field: bytes, value: bytes, charset: str
) -> None:
    fields = b'--cut\r\ncontent-disposition: form-data; name="' + field + b'"\r\n\r\n' + value + b"\r\n"
    body = upload(b"The kingfisher dives.", b"x.txt", fields)
    refused(client.post("/v1/documents/upload", content=body, headers={"content-type": MULTIPART["content-type"] + charset}), 422)


def test_empty_cut_and_huge_uploads_are_refused_with_a_problem(client: httpx.Client) -> None:
    refused(client.post("/v1/documents/upload", content=upload(b"", b"x.txt"), headers=MULTIPART), 422)
    refused(client.post("/v1/documents/upload", content=upload(b"words", b"x.txt")[:-12], headers=MULTIPART), 422)
    refused(client.post("/v1/documents/upload", content=upload(b"x" * (LIMIT_BYTES + 1), b"x.txt"), headers=MULTIPART), 413)
    refused(client.post("/v1/documents/upload", content=upload(b"x" * 5 * LIMIT_BYTES, b"x.txt"), headers=MULTIPART), 413)
    refused(client.post("/v1/documents", json={"title": "x", "text": "x" * (LIMIT_BYTES + 1)}), 413)
    refused(client.post("/v1/search", content=b'{"query": "' + b"x" * 5 * LIMIT_BYTES + b'"}', headers=JSON), 413)

    def endless() -> Iterator[bytes]:  # its length is nowhere declared
        yield b'{"query": "'
        for _ in range(5 * LIMIT_BYTES // 50_000):
            yield b"x" * 50_000
        yield b'"}'

    refused(client.post("/v1/search", content=endless(), headers=JSON), 413)


def encrypted_pdf() -> bytes:
    from pypdf import PdfWriter

    writer, file = PdfWriter(), io.BytesIO()
    writer.add_blank_page(100, 100)
    writer.encrypt("a password nobody sent", algorithm="RC4-128")
    writer.write(file)
    return file.getvalue()


def test_unreadable_files_fail_alone_with_a_reason_and_hold_up_nobody(service: Service, client: httpx.Client) -> None:
    sent = {
        "truncated.pdf": (encrypted_pdf()[:200], "broken"),
        "garbage.pdf": (b"%PDF-1.7\n" + bytes(range(1, 255)) * 40, "broken"),
        "looping.pdf": (b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 1 0 R/Kids[1 0 R]>>endobj\ntrailer<</Root 1 0 R>>", "broken"),
        "encrypted.pdf": (encrypted_pdf(), "encrypted"),
        "nested.html": (b"<html>" + b"<div>" * 5_000 + b"deep", None),
        "charset.txt": (bytes(range(0xA0, 0x100)) * 8 + b"\x81\x8d\x8f", None),
    }
    ids = {}
    for name, (content, _) in sent.items():
        answer = client.post("/v1/documents/upload", files={"file": (name, content)})
        assert answer.status_code in (202, 415), f"{name}: {answer.text}"
        if answer.status_code == 202:
            ids[name] = answer.json()["id"]
    add(client, "Healthy", "The nightingale sings at night.")
    for name, document_id in ids.items():
        found = wait_status(client, document_id, "indexed", "failed")
        reason = sent[name][1]
        if reason is not None:
            assert (found["status"], found["error"]["code"]) == ("failed", "unsupported-media")
            assert reason in found["error"]["detail"] or "no text" in found["error"]["detail"], name
    assert "Traceback" not in (service.folder / "worker.log").read_text()


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (b"authorization", b"Bearer \xff\xfe"),
        (b"authorization", b"Bearer"),
        (b"authorization", b"Basic dTpw"),
        (b"authorization", b"Bearer teal_000000000000_" + b"A" * 43),
        (b"authorization", b"Bearer " + b"a" * 30_000),
        (b"cookie", b"teal_session=\xff"),
        (b"cookie", b"teal_session=a; teal_session=b"),
        (b"cookie", b";;;==="),
    ],
    ids=lambda part: repr(part[:24]),
)
def test_credentials_of_any_form_that_are_wrong_get_401(client: httpx.Client, header: bytes, value: bytes) -> None:
    with httpx.Client(base_url=client.base_url) as nobody:
        refused(nobody.send(nobody.build_request("GET", "/v1/documents", headers=[(header, value)])), 401)


def test_odd_headers_are_refused_or_ignored_never_repeated(client: httpx.Client) -> None:
    def sent(name: bytes, value: bytes) -> httpx.Response:
        body = {"title": "Headers", "text": "The heron waits."}
        return client.send(client.build_request("POST", "/v1/documents", json=body, headers=[(name, value)]))

    for value in (b"x" * 300, b"a b", b"\xff\xfe", b""):
        refused(sent(b"idempotency-key", value), 422)
    for value in (b"x" * 5000, b"<script>", b"../..", b"\xff"):
        answer = sent(b"x-request-id", value)
        assert answer.status_code == 202
        assert answer.headers["x-request-id"].encode() != value
    assert sent(b"x-forwarded-for", b"127.0.0.1, evil\xff").status_code == 202


def test_bytes_that_are_not_http_get_400_and_no_more(service: Service) -> None:
    for said in (
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/search HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", service.ports[0]), timeout=5) as raw:
            raw.sendall(said + b"\r\n\r\n")
            answer = raw.recv(10_000)
        assert answer == b"" or (answer.startswith(b"HTTP/1.1 400 ") and b"Traceback" not in answer)


def test_clients_that_send_a_byte_a_second_keep_nobody_waiting(service: Service, client: httpx.Client) -> None:
    key = client.headers["authorization"].encode()
    head = b"POST /v1/documents HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n"
    slow = [socket.create_connection(("127.0.0.1", service.ports[0]), timeout=5) for _ in range(100)]
    try:
        for number, one in enumerate(slow):
            one.sendall(head % key + (b"\r\n{" if number % 2 else b"X-Slow: "))  # half are slow in the body, half in the headers
        waits = []
        for number in range(3):
            for one in slow:
                one.sendall(b" ")
            for part in range(10):
                began = time.monotonic()
                answer = client.post("/v1/search", json={"query": f"lighthouse {number} {part}"})
                waits.append(time.monotonic() - began)
                assert answer.status_code == 200
            add(client, f"Meanwhile {number}", f"The bittern booms {number} times.")
            time.sleep(1)
        assert sorted(waits)[len(waits) // 2] < 0.5, waits
    finally:
        for one in slow:
            one.close()


def test_flood_of_wrong_keys_gets_401_and_right_keys_go_on(client: httpx.Client) -> None:
    def wrong(number: int) -> int:
        presented = f"Bearer teal_{number:012x}_{'A' * 43}"
        answer = flood.get("/v1/documents", headers={"authorization": presented})
        refused(answer, 401)
        return answer.status_code

    with httpx.Client(base_url=client.base_url, timeout=30) as flood, concurrent.futures.ThreadPoolExecutor(8) as pool:
        pending = [pool.submit(wrong, number) for number in range(600)]
        while not all(one.done() for one in pending):
            assert client.post("/v1/search", json={"query": "lighthouse"}).status_code == 200
            time.sleep(0.05)
        assert [one.result() for one in pending] == [401] * 600


def test_key_revoked_in_the_middle_of_its_flood_ends_within_three_seconds(service: Service) -> None:
    key = service.key("reader")
    answers: list[tuple[float, httpx.Response]] = []
    stop = threading.Event()

    def flood() -> None:
        with service.client_with(key) as reader:
            while not stop.is_set():
                answers.append((time.monotonic(), reader.get("/v1/collections")))

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        until("the flood is on", lambda: len(answers) > 20, 10)
        service.admin("keys", "revoke", key.split("_")[1])
        revoked = time.monotonic()
        until("the flood is refused", lambda: all(answer.status_code == 401 for _, answer in answers[-20:]), 10)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {answer.status_code for _, answer in answers} == {200, 401}
    assert max(at for at, answer in answers if answer.status_code == 200) < revoked + 3
    for _, answer in answers[-20:]:
        refused(answer, 401)


def test_errors_of_a_streamed_answer_are_problems_too(client: httpx.Client) -> None:
    refused(client.post("/v1/ask", content=rb'{"question": "\ud800", "stream": true}', headers=JSON), 422)
    refused(client.post("/v1/ask", json={"question": "x" * 2_001, "stream": True}), 422)
    answer = client.post("/v1/ask", json={"question": "lighthouse \x00 \u202e ?", "stream": True})
    assert json.loads(answer.text.split("data: ")[-1].strip())["answer"]


def test_upload_that_finds_no_room_for_its_temporary_file_says_so(tmp_path: Path) -> None:
    from tests.parts.app.small_disk import small_disk

    with small_disk(tmp_path / "tmp", 2_000_000) as disk:
        service = Service(tmp_path, {"TEAL_EMBEDDING": "none", "TMPDIR": str(disk)})
        try:
            service.start()
            with service.client("writer") as writer:
                big = b"The avocet wades. " * 200_000
                refused(writer.post("/v1/documents/upload", files={"file": ("big.txt", big)}), 507)
                assert writer.post("/v1/documents/upload", files={"file": ("small.txt", b"The avocet.")}).status_code == 202
        finally:
            service.stop()
