"""Snapshots and restores on real parts: taken while documents come in, put back after everything was lost, killed anywhere and repeated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest
from elasticsearch import Elasticsearch

from teal.backup import flow
from teal.backup.flow import DataOperation
from teal.clock import SystemClock
from teal.events import Event
from tests.parts.app.service import Service
from tests.services import postgres_process

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(420)]
WAIT_SECONDS = 60
KILLED_AFTER_SECONDS = (0.6, 1.2)  # starting Python takes 0.3 to 1 s of it


def work(service: Service) -> DataOperation:
    """An operator's work on a service without a load balancer and a record."""
    return DataOperation(service.admin, "teal", SystemClock(), poll_seconds=0.2)


class Kept(Service):
    """A service whose data can be lost. Documents carry a word of their own."""

    def words(self) -> Users:
        return Users(self.client("writer"))

    def lose_everything(self) -> None:
        if "ELASTICSEARCH_URL" not in self.environment:
            for path in (self.folder / "data").glob("*.db*"):
                path.unlink()
            return
        with Elasticsearch(self.environment["ELASTICSEARCH_URL"]) as client:
            client.indices.delete(index="teal-*")
        with psycopg.connect(self.environment["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("DROP SCHEMA IF EXISTS dbos CASCADE")
            connection.execute("CREATE SCHEMA public")

    def restart(self) -> None:
        """After files were lost: whoever has them open must begin anew."""
        for name in list(self.processes):
            self.kill(name)
        self.admin("migrate")
        self.start_worker()
        for number in range(self.apps):
            self.start_app(number)
        self.wait_ready()


class Users:
    """What one key may do, in short."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def send(self, word: str) -> str | None:
        """The id of an accepted document; None when it was not accepted."""
        try:
            answer = self.http.post("/v1/documents", json={"title": f"About {word}", "text": f"This sentence is about {word}."})
        except httpx.TransportError:
            return None
        return str(answer.json()["id"]) if answer.status_code == 202 else None

    def status(self, document: str) -> str:
        return str(self.http.get(f"/v1/documents/{document}").json().get("status"))

    def answer(self, word: str) -> tuple[int, list[str]]:
        """Status and the documents found."""
        answer = self.http.post("/v1/search", json={"query": word, "mode": "lexical"})
        return answer.status_code, [hit["document_id"] for hit in answer.json().get("hits", ())]

    def answered(self, word: str) -> list[str]:
        """As `found`, but a service that is busy for a moment is asked again: whoever gets an answer gets the right one."""
        deadline = time.monotonic() + 5
        while (said := self.answer(word))[0] != 200:
            assert time.monotonic() < deadline, said
        return said[1]

    def found(self, word: str) -> list[str]:
        return self.answer(word)[1]

    def await_found(self, documents: dict[str, str]) -> None:
        """Every document is found by its word, once."""
        deadline = time.monotonic() + WAIT_SECONDS
        left = dict(documents)
        while left:
            left = {document: word for document, word in left.items() if self.found(word) != [document]}
            assert time.monotonic() < deadline, f"{len(left)} of {len(documents)} not found once: {list(left.items())[:3]}"


@pytest.fixture(params=["sqlite and embedded", "postgresql and elasticsearch"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    environment = {"TEAL_EMBEDDING": "none", "TEAL_BACKUP_HOURS": "0", "TEAL_BACKUP_DIR": str(tmp_path / "backups"),
                   "TEAL_BACKUP_KEY": str(tmp_path / "keys" / "backup.key"), "TEAL_CACHE_SECONDS": "0", "TEAL_RATE_LIMIT_PER_SECOND": "100000"}  # fmt: skip
    with ExitStack() as cleaned:
        if request.param.startswith("postgresql"):
            database = cleaned.enter_context(postgres_process.fresh_database(request.getfixturevalue("postgres_url")))
            url = request.getfixturevalue("elasticsearch_url")
            environment |= {"DATABASE_URL": database, "ELASTICSEARCH_URL": url, "TEAL_SEARCH": "elasticsearch"}
            with Elasticsearch(url) as client:
                client.indices.delete(index="teal-*", ignore_unavailable=True)
        made = Kept(tmp_path, environment)
        cleaned.callback(made.stop)
        made.start()
        yield made


def run(events: Iterator[Event]) -> list[str]:
    return [f"{event.step} {event.detail}" for event in events]


def test_everything_acknowledged_before_a_snapshot_is_back_and_findable_once_after_all_was_lost(service: Kept) -> None:
    users = service.words()
    acknowledged: dict[str, str] = {}
    stopped = threading.Event()

    def write() -> None:
        while not stopped.is_set():
            word = f"zq{len(acknowledged):05d}x"
            if document := users.send(word):
                acknowledged[document] = word
            time.sleep(0.01)

    writing = threading.Thread(target=write)
    writing.start()
    deadline = time.monotonic() + WAIT_SECONDS
    while len(acknowledged) < 40:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    before = dict(acknowledged)
    taken = service.admin("snapshot")[-1]
    assert len(acknowledged) > len(before), "nothing was written during the snapshot"
    stopped.set()
    writing.join()
    assert service.admin("verify")[-1]["snapshot"] == taken["id"]

    service.lose_everything()
    run(flow.restore_catalog(work(service), ()))
    if "ELASTICSEARCH_URL" not in service.environment:
        service.restart()  # processes hold the deleted files open
    run(flow.restore_search(work(service), ()))
    users = service.words()  # the keys are as the snapshot has them
    users.await_found(before)
    assert [row["name"] for row in service.admin("index", "list")] == ["teal"]
    assert [row["id"] for row in service.admin("snapshots")] == [taken["id"]]


def test_a_restore_killed_anywhere_leaves_what_runs_and_can_be_repeated(service: Kept) -> None:
    users = service.words()
    documents = {str(users.send(f"zq{number:05d}x")): f"zq{number:05d}x" for number in range(30)}
    users.await_found(documents)
    before = ("--snapshot", str(service.admin("snapshot")[-1]["id"]))  # one that is killed below may be whole all the same
    later = {str(users.send("zqlaterx")): "zqlaterx"}
    users.await_found(later)
    for arguments in (("restore", "search", "--name", "teal-b1", *before), ("index", "build", "--name", "teal-b1"),
                      ("index", "verify", "--name", "teal-b1"), ("snapshot",), ("verify",)):  # fmt: skip
        for seconds in KILLED_AFTER_SECONDS:
            _killed(service, seconds, *arguments)
            assert users.answered("zqlaterx") == list(later), arguments
    for seconds in KILLED_AFTER_SECONDS:
        _killed(service, seconds, "index", "swap", "--name", "teal-b1")
    users.await_found(documents | later)
    run(flow.restore_search(work(service), before))
    users.await_found(documents | later)
    for seconds in KILLED_AFTER_SECONDS:
        _killed(service, seconds, "restore", "catalog", *before)
        users.await_found(documents)
    run(flow.restore_catalog(work(service), before))
    run(flow.reconcile_search(work(service)))
    users.await_found(documents)
    assert users.found("zqlaterx") == []  # the catalog has the last word
    assert [row["name"] for row in service.admin("index", "list") if row["serving"]] == ["teal"]


def _killed(service: Kept, seconds: float, *arguments: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "app.admin", *arguments],
        env=service.env(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
