"""Ingestion with real parts: worker processes that are killed, SQLite or PostgreSQL, the embedded search engine."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import apsw
import psutil
import pytest

from app.catalog import documents, index_state, ingestion_queries
from app.catalog.engine import Catalog
from app.catalog.ingestion_queries import Job
from app.ingestion.job_queue import Jobs
from app.search.sqlite.schema import embedded_path
from app.settings import Settings
from tests.parts.app.bombs import BOMBS
from tests.services import postgres_process

pytestmark = pytest.mark.integration
_REPOSITORY = Path(__file__).parents[3]
_DEADLINE_SECONDS = 60.0
_AT_WORK_SECONDS = 0.3  # of a processor: it has begun
_SOON_SECONDS = 10.0  # half a second until a deletion is seen, on a machine that others use too; reading would go on for a minute


class Place:
    """A state folder, its databases, and the worker processes on it."""

    def __init__(self, state: Path, database_url: str | None) -> None:
        self.state = state
        state.mkdir(parents=True, exist_ok=True)
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith(("TEAL_", "DATABASE_URL"))}
        self._environment |= {"TEAL_STATE_DIR": str(state), "TEAL_RELEASE_ID": "r1"}
        if database_url:
            self._environment["DATABASE_URL"] = database_url
        self.settings = Settings.model_validate(
            {"state_dir": state, "release_id": "r1", **({"database_url": database_url} if database_url else {})}
        )
        self.run("-m", "app.admin", "migrate")
        self.catalog = Catalog(self.settings.sqlalchemy_url())
        self.jobs = Jobs(self.settings)
        self.workers: list[subprocess.Popen[bytes]] = []

    def run(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, *arguments], cwd=_REPOSITORY, env=self._environment, check=True, capture_output=True, timeout=60
        ).stdout.decode()

    def worker(self, slot: str = "0", **environment: str) -> subprocess.Popen[bytes]:
        log = (self.state / f"worker-{slot}.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "tests/parts/app/ingest_worker.py"],
            cwd=_REPOSITORY,
            env=self._environment | {"PYTHONPATH": str(_REPOSITORY), "TEAL_SLOT": slot} | environment,
            stdout=log,
            stderr=log,
        )
        self.workers.append(process)
        return process

    def supervise(self, slot: str = "0", **environment: str) -> None:
        """What supervisor does: a worker that died is started again."""
        if not self.workers or self.workers[-1].poll() is not None:
            self.worker(slot, **environment)

    def accept(self, text: str, *, enqueue: bool = True, key: str = "test") -> str:
        return self.accept_file(text.encode(), "text/plain", enqueue=enqueue, key=key)

    def accept_file(self, body: bytes, media_type: str, *, enqueue: bool = True, key: str = "test") -> str:
        title = body[:40].decode(errors="replace")
        submission = documents.Submission(title, body, media_type, None, "default", None, {}, hashlib.sha256(body).hexdigest())
        with self.catalog.write() as session:
            accepted = documents.accept(session, submission, key_id=key, idempotency_key=None)
        if enqueue:
            self.jobs.ingest(accepted.id, accepted.revision, key)
        return accepted.id

    def status(self, document_id: str) -> documents.Document:
        with self.catalog.read() as session:
            return documents.get(session, document_id, None)

    def counts(self) -> dict[str, int]:
        with self.catalog.read() as session:
            return documents.count_by_status(session)

    def generation(self) -> int:
        with self.catalog.read() as session:
            return index_state.index_generation(session)

    def delete(self, document_id: str) -> None:
        with self.catalog.write() as session:
            documents.delete(session, document_id, None)

    def retry(self, document_id: str) -> None:
        with self.catalog.write() as session:
            accepted = documents.retry(session, document_id, None)
        assert accepted.created
        self.jobs.ingest(accepted.id, accepted.revision)

    def passages(self) -> list[tuple[str, int, bool]]:
        """(document id, ordinal, has a vector) of every passage in the index, straight from its file."""
        connection = apsw.Connection(str(embedded_path(self.settings)), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return sorted((row[0], row[1], bool(row[2])) for row in connection.execute(_PASSAGES))
        finally:
            connection.close()

    def close(self) -> None:
        for process in self.workers:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.jobs.close()
        self.catalog.close()


_PASSAGES = "SELECT document_id, ordinal, embedded FROM passage"


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        url = None
        if request.param == "postgres":
            url = stack.enter_context(postgres_process.fresh_database(request.getfixturevalue("postgres_url")))
        place = Place(tmp_path / "state", url)
        stack.callback(place.close)
        yield place


def until(
    what: str, condition: Callable[[], bool], seconds: float = _DEADLINE_SECONDS, each: Callable[[], None] = lambda: None
) -> float:
    """Seconds until the condition held."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"waited {seconds} s for {what}"
        each()
        time.sleep(0.1)
    return time.monotonic() - began


def text(number: int, words: str = "") -> str:
    """One to three passages of text that no other number gives."""
    return f"Document {number}. {words} " + " ".join(
        f"Sentence {number} {place} speaks of a thing." for place in range(number % 3 * 25 + 1)
    )


def test_killed_worker_loses_nothing_and_indexes_nothing_twice(place: Place) -> None:
    dice = random.Random(7)
    slow = {"TEST_EMBED_SECONDS": "0.15", "TEAL_INGEST_ATTEMPTS": "8"}  # more tries than kills: here nothing is poison
    ids = [place.accept(text(number)) for number in range(60)]
    for _ in range(5):
        process = place.worker(**slow)
        time.sleep(dice.uniform(1.2, 2.6))
        process.send_signal(signal.SIGKILL)
        process.wait()
    place.worker(**slow)
    until("all documents indexed", lambda: place.counts()["indexed"] == 60, 90)
    found = place.passages()
    assert len({(document_id, ordinal) for document_id, ordinal, _ in found}) == len(found)
    expected = {(document_id, ordinal) for document_id in ids for ordinal in range(place.status(document_id).passages)}
    assert {(document_id, ordinal) for document_id, ordinal, _ in found} == expected
    assert all(embedded for _, _, embedded in found)


def test_many_documents_of_one_key_do_not_hold_up_a_document_of_another(place: Place) -> None:
    for number in range(600):
        place.accept(f"Document {number} of many.", key="many")
    place.worker(TEST_EMBED_SECONDS="0.05")  # at most 40 documents a second: 15 s for all
    until("the worker is at the many", lambda: place.counts()["indexed"] >= 20)
    alone = place.accept("The only document of another key.", key="one")
    # Judged by how many were served before it, not by the clock: on a slow machine all take longer alike.
    waited = until("the other key's document indexed", lambda: place.status(alone).status == "indexed", 15)
    assert place.counts()["indexed"] < 300, f"it waited {waited:.1f} s for the others"


def test_documents_of_different_keys_get_places_in_turn(place: Place) -> None:
    def queued(key: str, count: int) -> list[int]:
        sent = [place.accept(f"Document {number} of {key}, {time.monotonic_ns()}", key=key) for number in range(count)]
        return [place.jobs.place(Job(one, 1)) for one in sent]

    assert queued("a", 4) == [1, 2, 3, 4]
    assert queued("b", 3) == [2, 3, 4]  # behind the first that waits, then in turn with the others
    assert queued("a", 1) == [5]
    assert place.jobs.place(Job("not there", 1)) == 0


def test_document_that_kills_its_worker_ends_failed_while_others_finish(place: Place) -> None:
    (place.state / "poison").touch()
    good = [place.accept(text(number)) for number in range(10)]
    poison = place.accept("KILL this worker, please.")
    good += [place.accept(text(number)) for number in range(10, 20)]
    until("the poison document failed", lambda: place.status(poison).status == "failed", each=place.supervise)
    until("all others indexed", lambda: place.counts()["indexed"] == 20, each=place.supervise)
    assert len(place.workers) == 4  # three tries, and the worker that saw they were enough
    error = place.status(poison).error
    assert error is not None
    assert error["code"] == "killed-worker"
    assert "3 times" in error["detail"]
    assert "retry" in error["action"]
    (place.state / "poison").unlink()
    place.retry(poison)
    until("the mended document indexed", lambda: place.status(poison).status == "indexed", each=place.supervise)
    assert all(place.status(document_id).status == "indexed" for document_id in good)


def test_document_that_raises_is_tried_three_times_and_leaves_no_passages(place: Place) -> None:
    (place.state / "poison").touch()
    broken = place.accept("BREAK in the parser.")
    place.worker()
    until("the document failed", lambda: place.status(broken).status == "failed")
    error = place.status(broken).error
    assert error is not None
    assert error["code"] == "internal"
    assert "broken on purpose" in error["detail"]
    assert "3 times" in error["detail"]
    assert place.passages() == []


def test_document_without_text_fails_at_once_with_the_reason(place: Place) -> None:
    empty = place.accept("... !!! ...")
    place.worker()
    until("the document failed", lambda: place.status(empty).status == "failed")
    error = place.status(empty).error
    assert error is not None
    assert "no text" in error["detail"]


def test_two_workers_share_the_queue_without_indexing_twice(place: Place) -> None:
    place.worker("0", TEST_EMBED_SECONDS="0.05")
    place.worker("1", TEST_EMBED_SECONDS="0.05")
    ids = [place.accept(text(number)) for number in range(80)]
    until("all documents indexed", lambda: place.counts()["indexed"] == 80)
    found = [(document_id, ordinal) for document_id, ordinal, _ in place.passages()]
    assert sorted(found) == sorted((document_id, n) for document_id in ids for n in range(place.status(document_id).passages))


def test_job_that_was_never_enqueued_is_found_by_housekeeping(place: Place) -> None:
    place.worker()
    document = place.accept(text(1), enqueue=False)
    until("the document indexed", lambda: place.status(document).status == "indexed", 30)


def test_document_deleted_while_it_is_ingested_leaves_no_passages(place: Place) -> None:
    place.worker(TEST_EMBED_SECONDS="0.3")
    long = place.accept(" ".join(f"Sentence {number} of a long document says something of its own." for number in range(4_000)))
    until("a few passages were written", lambda: place.status(long).progress > 0)
    place.delete(long)
    place.jobs.remove(long)
    other = place.accept(text(2))
    until("the other document indexed", lambda: place.status(other).status == "indexed")
    until("the passages gone", lambda: {document_id for document_id, _, _ in place.passages()} == {other})
    time.sleep(2)  # longer than a batch takes: nothing comes back
    assert {document_id for document_id, _, _ in place.passages()} == {other}


def test_model_that_is_away_delays_documents_and_fails_none(place: Place) -> None:
    (place.state / "absent").touch()
    place.worker()
    ids = [place.accept(text(number)) for number in range(5)]
    until("the documents in work", lambda: place.counts()["processing"] == 5)
    time.sleep(4)  # several tries
    assert place.counts() == {"queued": 0, "processing": 5, "indexed": 0, "failed": 0}
    (place.state / "absent").unlink()
    until("all documents indexed", lambda: all(place.status(document_id).status == "indexed" for document_id in ids))


def test_documents_indexed_by_words_get_vectors_when_the_model_comes(place: Place) -> None:
    (place.state / "no-model").touch()
    place.worker()
    ids = [place.accept(text(number)) for number in range(5)]
    until("all documents indexed", lambda: place.counts()["indexed"] == 5)
    assert not any(embedded for _, _, embedded in place.passages())
    assert not any(place.status(document_id).embedded for document_id in ids)
    before = place.generation()
    (place.state / "no-model").unlink()
    until("all passages embedded", lambda: all(embedded for _, _, embedded in place.passages()))
    until("the catalog says so", lambda: all(place.status(i).embedded and place.status(i).status == "indexed" for i in ids))
    assert place.generation() > before


def test_sigterm_ends_the_worker_in_time_with_success_and_its_work_goes_on_later(place: Place) -> None:
    process = place.worker(TEST_EMBED_SECONDS="0.3")
    ids = [place.accept(text(number)) for number in range(40)]
    until("some indexed", lambda: place.counts()["indexed"] > 0)
    began = time.monotonic()
    process.terminate()
    assert process.wait(20) == 0
    assert time.monotonic() - began < 20
    assert place.counts()["indexed"] < 40
    place.worker()
    until("all documents indexed", lambda: place.counts()["indexed"] == 40)
    assert len(place.passages()) == sum(place.status(document_id).passages for document_id in ids)


def readers_of(worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The forks of its readers that have used their processor for a while: each is at one document."""
    found = list[psutil.Process]()
    for child in psutil.Process(worker.pid).children():
        with suppress(psutil.NoSuchProcess):
            if "app.text.child" in child.cmdline():
                found += [fork for fork in child.children() if fork.cpu_times().user > _AT_WORK_SECONDS]
    return found


def reading(place: Place) -> tuple[subprocess.Popen[bytes], str, list[psutil.Process]]:
    """A worker that has begun with a document whose reading takes a minute of a processor."""
    worker = place.worker()
    slow = place.accept_file(BOMBS["pdf a million pages"](), "application/pdf")
    found = list[psutil.Process]()

    def begun() -> bool:
        found[:] = readers_of(worker)
        return bool(found)

    until("a reader is at the document", begun)
    assert place.status(slow).status == "processing"
    return worker, slow, found


def test_a_deletion_ends_the_reading_of_its_document_and_the_next_one_is_read(place: Place) -> None:
    _, slow, readers = reading(place)
    place.delete(slow)
    place.jobs.remove(slow)
    until("the reader has ended", lambda: not any(one.is_running() for one in readers), _SOON_SECONDS)
    other = place.accept(text(2))
    until("the other document indexed", lambda: place.status(other).status == "indexed", _SOON_SECONDS)
    assert {document_id for document_id, _, _ in place.passages()} == {other}


def test_sigterm_ends_a_worker_that_reads_in_its_time_with_its_reader_and_the_document_is_blamed_for_nothing(
    place: Place,
) -> None:
    worker, slow, readers = reading(place)
    began = time.monotonic()
    worker.terminate()
    assert worker.wait(20) == 0  # the supervisor's own patience (app/worker.py: 18 s)
    assert time.monotonic() - began < _SOON_SECONDS
    until("the reader has ended", lambda: not any(one.is_running() for one in readers), _SOON_SECONDS)
    with place.catalog.read() as session:
        task = ingestion_queries.load_task(session, Job(slow, 1))
    assert task is not None
    assert task.attempts == 0, "it would be failed as one that kills its workers"


def test_job_of_a_release_without_workers_is_taken_over(place: Place) -> None:
    document = place.accept(text(3))  # enqueued for release r1
    place.worker(TEAL_RELEASE_ID="r2")
    until("the document indexed", lambda: place.status(document).status == "indexed", 40)


def test_rebuild_fills_an_empty_index_from_the_catalog_alone(place: Place) -> None:
    process = place.worker()
    ids = [place.accept(text(number)) for number in range(12)]
    until("all documents indexed", lambda: place.counts()["indexed"] == 12)
    before = place.passages()
    process.terminate()
    process.wait(20)
    for file in place.state.glob("search*"):
        file.unlink()
    place.run("-m", "app.admin", "rebuild")
    place.worker()
    until("all documents indexed again", lambda: place.counts()["indexed"] == 12)
    assert place.passages() == before
    assert len(ids) == 12
