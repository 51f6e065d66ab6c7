"""Search engine, catalog and disk that hang, end, fill up and come back, under real processes that nobody restarts."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import sqlite3
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.parts.app.service import Service, add, until, wait_status
from tests.parts.app.slow_socket import SlowSocket
from tests.parts.app.small_disk import filled, small_disk
from tests.services import postgres_process
from tests.services.postgres_server import home_of
from tests.services.required import require

pytestmark = [pytest.mark.integration, pytest.mark.long]

SEARCH_SECONDS = 2.0  # the default of TEAL_SEARCH_TIMEOUT_SECONDS
FROZEN_SECONDS = 6.0 + 2.0  # the silence that a connection bears, a new one's time-out, and a slow machine
LIGHTHOUSE = "The lighthouse of Alexandria stood on the island of Pharos."


def search(client: httpx.Client) -> tuple[httpx.Response, float]:
    """A search no cache can answer, and its seconds."""
    began = time.monotonic()
    answer = client.post("/v1/search", json={"query": f"lighthouse {uuid.uuid4()}"})
    return answer, time.monotonic() - began


def send(client: httpx.Client, number: int) -> httpx.Response:
    return client.post("/v1/documents", json={"title": f"Number {number}", "text": f"The {number}th bird is a wagtail{number}."})


def is_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert answer.json()["code"] == code
    assert int(answer.headers["retry-after"]) > 0
    assert "Traceback" not in answer.text


def counts(client: httpx.Client) -> dict[str, int]:
    found: dict[str, int] = client.get("/v1/status").raise_for_status().json()["documents"]
    return found


def no_stack_traces(service: Service, *parts: str) -> None:
    for part in parts:
        log = (service.folder / f"{part}.log").read_text()
        assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]


def found_once(client: httpx.Client, numbers: range) -> None:
    """Each sent document is findable by its own word, and is there once."""
    for number in numbers:
        hits = client.post("/v1/search", json={"query": f"wagtail{number}", "mode": "lexical"}).json()["hits"]
        assert [hit["title"] for hit in hits] == [f"Number {number}"]
    assert client.get("/v1/status").json()["search"]["passages"] == len(numbers) + 1  # and the lighthouse


@pytest.fixture
def proxy(elasticsearch_url: str) -> Iterator[SlowSocket]:
    between = SlowSocket(elasticsearch_url)
    yield between
    between.close()


def test_elasticsearch_that_hangs_crawls_and_ends_costs_time_but_no_document(proxy: SlowSocket, tmp_path: Path) -> None:
    environment = {
        "TEAL_SEARCH": "elasticsearch",
        "ELASTICSEARCH_URL": proxy.url,
        "TEAL_INDEX": f"outage-{uuid.uuid4().hex[:8]}",
        "TEAL_EMBEDDING": "none",
    }
    service = Service(tmp_path, environment)
    sent = 0
    try:
        service.start()
        with service.client("admin") as client:
            add(client, "Lighthouse", LIGHTHOUSE)
            for mode in ("slow", "hang", "refuse"):
                proxy.become(mode)
                for _ in range(2):
                    answer, seconds = search(client)
                    is_problem(answer, 503, "search-unavailable")
                    assert seconds < SEARCH_SECONDS + 1, mode
                for _ in range(4):
                    assert send(client, sent).status_code == 202
                    sent += 1
                ready = client.get("/readyz")
                assert ready.status_code == 200
                until(f"the reason is named while it is {mode}", lambda: "search" in client.get("/readyz").json()["reasons"])
                status = client.get("/v1/status").raise_for_status().json()
                assert status["search"]["passages"] is None
                assert "lasticsearch" in status["reasons"]["search"]
                assert status["documents"]["indexed"] == 1
                assert status["documents"]["failed"] == 0
                with concurrent.futures.ThreadPoolExecutor(6) as pool:  # opens the breaker at the latest
                    list(pool.map(lambda _: search(client), range(6)))
                waits = sorted(search(client)[1] for _ in range(9))
                assert waits[4] < 0.1, f"{mode}: {waits}"
            documents = counts(client)
            assert documents["queued"] + documents["processing"] == sent
            proxy.become("pass")
            until("search answers", lambda: search(client)[0].status_code == 200, 15)
            until(
                "all are indexed", lambda: counts(client) == {"queued": 0, "processing": 0, "indexed": sent + 1, "failed": 0}, 60
            )
            until("nothing is wrong", lambda: client.get("/readyz").json() == client.get("/readyz").json() | {"reasons": {}}, 10)
            found_once(client, range(sent))
        no_stack_traces(service, "app-0", "worker")
    finally:
        service.stop()


def postmaster(url: str) -> list[int]:
    """The processes of a cluster of our own, its postmaster first."""
    home = home_of(url)
    parent = int((home / "data" / "postmaster.pid").read_text().splitlines()[0])
    children = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False).stdout.split()
    return [parent, *map(int, children)]


def test_postgresql_that_freezes_and_returns_costs_time_but_no_document(tmp_path: Path) -> None:
    require(
        "PostgreSQL", postgres_process.HINT, postgres_process.binaries() is not None and "TEST_DATABASE_URL" not in os.environ
    )
    with postgres_process.start(tmp_path) as url:
        service = Service(tmp_path, {"DATABASE_URL": url, "TEAL_EMBEDDING": "none"})
        frozen: list[int] = []
        try:
            service.start()
            with service.client("admin") as client:
                add(client, "Lighthouse", LIGHTHOUSE)
                for number in range(30):
                    assert send(client, number).status_code == 202
                frozen = postmaster(url)
                for pid in frozen:
                    os.kill(pid, signal.SIGSTOP)
                with concurrent.futures.ThreadPoolExecutor(4) as pool:
                    answers = list(pool.map(lambda number: send(client, number), range(30, 34)))
                for answer in (*answers, client.get("/v1/documents")):
                    is_problem(answer, 503, "catalog-unavailable")
                    assert answer.elapsed.total_seconds() < FROZEN_SECONDS
                ready = client.get("/readyz")
                assert ready.status_code == 200
                assert "catalog" in ready.json()["reasons"]
                for pid in frozen:
                    os.kill(pid, signal.SIGCONT)
                frozen = []
                until("the catalog answers", lambda: client.get("/v1/documents").status_code == 200, 20)
                for number in range(34):  # what was refused is sent again, what was accepted is the same
                    assert send(client, number).status_code == 202
                until("all are indexed", lambda: counts(client) == {"queued": 0, "processing": 0, "indexed": 35, "failed": 0})
                found_once(client, range(34))
            no_stack_traces(service, "app-0")
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
            service.stop()


def test_postgresql_killed_and_started_again_keeps_what_was_accepted(tmp_path: Path) -> None:
    require(
        "PostgreSQL", postgres_process.HINT, postgres_process.binaries() is not None and "TEST_DATABASE_URL" not in os.environ
    )
    with postgres_process.start(tmp_path) as url:
        home = home_of(url)
        control: list[Any] = [postgres_process.binaries() / "pg_ctl", "-D", home / "data", "-w"]  # type: ignore[operator]
        options = f"-c listen_addresses= -c unix_socket_directories={home} -c max_connections=100"
        run: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "cwd": home}
        if os.geteuid() == 0:
            run["user"] = "postgres"
        service = Service(tmp_path, {"DATABASE_URL": url, "TEAL_EMBEDDING": "none"})
        try:
            service.start()
            with service.client("admin") as client:
                add(client, "Lighthouse", LIGHTHOUSE)
                for number in range(30):
                    assert send(client, number).status_code == 202
                subprocess.run([*control, "-m", "immediate", "stop"], **run)
                for _ in range(5):
                    is_problem(send(client, 30), 503, "catalog-unavailable")
                    is_problem(client.get("/v1/status"), 503, "catalog-unavailable")
                until("the reason is named", lambda: "catalog" in client.get("/readyz").json()["reasons"], 10)
                assert client.get("/readyz").status_code == 200
                subprocess.run([*control, "-o", options, "-l", home / "log", "start"], **run)
                until("the catalog answers", lambda: send(client, 30).status_code == 202, 20)
                until("all are indexed", lambda: counts(client) == {"queued": 0, "processing": 0, "indexed": 32, "failed": 0})
                found_once(client, range(31))
            no_stack_traces(service, "app-0")
        finally:
            service.stop()


def test_full_disk_refuses_documents_by_name_and_loses_none(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", 24_000_000) as disk:
        service = Service(tmp_path, {"TEAL_EMBEDDING": "none"})
        try:
            service.start()
            with service.client("admin") as client:
                add(client, "Lighthouse", LIGHTHOUSE)
                accepted = set()
                with filled(disk, leave_bytes=400_000):
                    refused = 0
                    for number in range(300):
                        answer = client.post(
                            "/v1/documents",
                            json={"title": f"Number {number}", "text": f"wagtail{number} " + os.urandom(4_000).hex()},
                        )
                        if answer.status_code == 202:
                            accepted.add(answer.json()["id"])
                        else:
                            is_problem(answer, 507, "storage-full")
                            refused += 1
                        if refused == 10:
                            break
                    assert refused == 10
                    assert search(client)[0].json()["hits"][0]["title"] == "Lighthouse"
                    assert client.get("/v1/documents").status_code == 200
                    assert client.get("/readyz").status_code == 200
                    assert client.get("/v1/status").json()["documents"]["failed"] == 0
                    until("the worker meets it too", lambda: "is full" in (tmp_path / "worker.log").read_text(), 20)
                assert accepted
                until("there is room again", lambda: send(client, 1_000).status_code == 202, 10)
                wanted = {"queued": 0, "processing": 0, "indexed": len(accepted) + 2, "failed": 0}
                until("all are indexed", lambda: counts(client) == wanted, 60)
                for document_id in accepted:
                    assert wait_status(client, document_id, "indexed")["status"] == "indexed"
            no_stack_traces(service, "app-0")
        finally:
            service.stop()


def test_full_disk_of_the_search_index_alone_delays_documents_and_loses_none(postgres_url: str, tmp_path: Path) -> None:
    with postgres_process.fresh_database(postgres_url) as url, small_disk(tmp_path / "data", 8_000_000) as disk:
        service = Service(tmp_path, {"DATABASE_URL": url, "TEAL_EMBEDDING": "none"})
        try:
            service.start()
            with service.client("admin") as client:
                add(client, "Lighthouse", LIGHTHOUSE)
                with filled(disk):
                    long = " ".join(os.urandom(4).hex() for _ in range(60_000))  # more than the files' last pages can take
                    answer = client.post("/v1/documents", json={"title": "Long", "text": f"{long} spoonbill"})
                    assert answer.status_code == 202
                    for number in range(5):
                        assert send(client, number).status_code == 202
                    until("the worker says so", lambda: "is full" in (tmp_path / "worker.log").read_text(), 20)
                    documents = counts(client)
                    assert documents["failed"] == 0
                    assert documents["queued"] + documents["processing"] > 0
                    assert search(client)[0].json()["hits"][0]["title"] == "Lighthouse"
                    assert client.get("/readyz").status_code == 200
                wanted = {"queued": 0, "processing": 0, "indexed": 7, "failed": 0}
                until("all are indexed", lambda: counts(client) == wanted, 60)
                hits = client.post("/v1/search", json={"query": "spoonbill", "mode": "lexical"}).json()["hits"]
                assert [hit["title"] for hit in hits] == ["Long"]
            no_stack_traces(service, "app-0", "worker")
        finally:
            service.stop()


def test_three_apps_and_two_workers_share_one_sqlite_catalog(tmp_path: Path) -> None:
    service = Service(tmp_path, {"TEAL_EMBEDDING": "none", "TEAL_RATE_LIMIT_PER_SECOND": "100000"}, apps=3)
    try:
        service.start()
        service.spawn("worker-2", ["-m", "app.worker"], {"TEAL_SLOT": "w2"})
        key = service.key("admin")
        clients = [service.client_with(key, app=number % 3) for number in range(9)]
        add(clients[0], "Lighthouse", LIGHTHOUSE)

        def write(place: int) -> list[str]:
            ids = []
            for number in range(place * 10, place * 10 + 10):
                answer = send(clients[place], number)
                assert answer.status_code == 202, answer.text
                ids.append(answer.json()["id"])
                assert send(clients[place - 1], number).json()["id"] == ids[-1]  # again, by another process: the same one
                assert clients[place].get("/v1/documents", params={"limit": 5}).status_code == 200
            return ids

        with concurrent.futures.ThreadPoolExecutor(9) as pool:
            ids = [one for some in pool.map(write, range(9)) for one in some]
        assert len(set(ids)) == 90
        until("all are indexed", lambda: counts(clients[0]) == {"queued": 0, "processing": 0, "indexed": 91, "failed": 0}, 60)
        found_once(clients[1], range(90))
        for client in clients:
            client.close()
        no_stack_traces(service, "app-0", "app-1", "app-2", "worker", "worker-2")
    finally:
        service.stop()


def test_app_and_worker_killed_under_load_lose_and_double_nothing(tmp_path: Path) -> None:
    service = Service(tmp_path, {"TEAL_EMBEDDING": "none", "TEAL_RATE_LIMIT_PER_SECOND": "100000"}, apps=3)
    try:
        service.start()
        key = service.key("admin")
        with service.client_with(key, app=0) as client:
            add(client, "Lighthouse", LIGHTHOUSE)

        answered, killed = [0, 0, 0], threading.Event()

        def write(place: int) -> int:
            """Send 30 documents to an app, those it does not answer to the next one; how many it did not answer. Whatever the machine's
            speed, the last ones come after the kill."""
            lost = 0
            with service.client_with(key, app=place) as own, service.client_with(key, app=(place + 1) % 3) as other:
                for number in range(place * 30, place * 30 + 30):
                    if number == place * 30 + 25:
                        assert killed.wait(40), "nobody killed the app"
                    try:
                        answer = send(own, number)
                    except httpx.TransportError:
                        lost += 1
                        answer = send(other, number)
                    assert answer.status_code == 202, answer.text
                    answered[place] += 1
            return lost

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            writing = [pool.submit(write, place) for place in range(3)]
            until("its writer is in the middle", lambda: answered[1] >= 5, each_seconds=0.01)
            service.kill("app-1")
            killed.set()
            service.kill("worker")
            lost = [one.result() for one in writing]
        assert lost[1] > 0
        assert (lost[0], lost[2]) == (0, 0)
        service.start_worker()
        with service.client_with(key, app=2) as client:
            until("all are indexed", lambda: counts(client)["indexed"] == 91, 60)
            found_once(client, range(90))
        with sqlite3.connect(tmp_path / "data" / "catalog.db") as catalog:
            assert catalog.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        service.stop()
