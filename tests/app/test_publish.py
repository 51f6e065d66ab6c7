"""The publisher keeps its promises while the search engine misbehaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from app.catalog import documents, index_state
from app.catalog.engine import Catalog, migrate
from app.catalog.work import Job, Progress
from app.errors import SearchUnavailable
from app.publish import Publisher
from app.search.port import Passage, Stamp
from tests.app.catalog_promises import accept

WAIT_SECONDS = 20.0


class Memory:
    """A search engine in a dictionary; `away` makes it unreachable, `refused` names passages it cannot take."""

    def __init__(self) -> None:
        self.written: dict[str, Passage] = {}
        self.visible: dict[str, Passage] = {}
        self.publications = 0
        self.away = threading.Event()
        self.refused: dict[str, Exception] = {}

    def ensure(self, stamp: Stamp) -> str:
        return "memory"

    def put(self, passages: Sequence[Passage]) -> None:
        self._reach()
        for passage in passages:
            if passage.id in self.refused:
                raise self.refused[passage.id]
        self.written |= {passage.id: passage for passage in passages}

    def delete_document(self, document_id: str, *, keep_below: int = 0) -> int:
        self._reach()
        gone = [one.id for one in self.written.values() if one.document_id == document_id and one.ordinal >= keep_below]
        for identity in gone:
            del self.written[identity]
        return len(gone)

    def publish(self) -> None:
        self._reach()
        self.publications += 1
        self.visible = dict(self.written)

    def count(self, document_id: str | None = None) -> int:
        return sum(document_id in (None, one.document_id) for one in self.visible.values())

    def close(self) -> None: ...

    def _reach(self) -> None:
        if self.away.is_set():
            raise SearchUnavailable("The test's engine is away.")


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    migrate(url)
    catalog = Catalog(url)
    yield catalog
    catalog.close()


@pytest.fixture
def engine() -> Memory:
    return Memory()


@pytest.fixture
def publisher(catalog: Catalog, engine: Memory) -> Iterator[Publisher]:
    stop = threading.Event()
    publisher = Publisher(engine, catalog, stop)
    publisher.start()
    yield publisher
    stop.set()


def job(catalog: Catalog, content: str) -> Job:
    return Job(accept(catalog, content).id, 1)


def passage(job: Job, ordinal: int = 0) -> Passage:
    return Passage(f"{job.document_id}:{ordinal}", job.document_id, ordinal, "t", "x", "default")


def done(job: Job, total: int = 1) -> Progress:
    return Progress(job, total, total, True, True)


def status(catalog: Catalog, job: Job) -> str:
    with catalog.read() as session:
        return documents.get(session, job.document_id, None).status


def test_indexed_means_findable_and_many_share_one_publication(catalog: Catalog, engine: Memory, publisher: Publisher) -> None:
    jobs = [job(catalog, str(number)) for number in range(20)]
    outcomes = [publisher.write(done(one), [passage(one)]) for one in jobs]
    for one, outcome in zip(jobs, outcomes, strict=True):
        assert outcome.result(WAIT_SECONDS)
        assert engine.count(one.document_id) == 1
        assert status(catalog, one) == "indexed"
    assert engine.publications <= 3
    with catalog.read() as session:
        assert index_state.generation(session) == engine.publications


def test_outage_delays_and_loses_nothing(catalog: Catalog, engine: Memory, publisher: Publisher) -> None:
    engine.away.set()
    one = job(catalog, "1")
    assert publisher.begin(one)
    publisher.survived(one)
    outcome = publisher.write(done(one), [passage(one)])
    with pytest.raises(TimeoutError):
        outcome.result(1.5)
    assert status(catalog, one) == "processing"
    assert publisher.waiting_for == "search-unavailable"
    engine.away.clear()
    assert outcome.result(WAIT_SECONDS)
    assert status(catalog, one) == "indexed"
    assert publisher.waiting_for is None


@pytest.mark.parametrize("error", [SearchUnavailable("item 0 failed"), RuntimeError("mapping")])
def test_document_the_engine_refuses_holds_up_nobody(
    catalog: Catalog, engine: Memory, publisher: Publisher, error: Exception
) -> None:
    bad, good = job(catalog, "bad"), job(catalog, "good")
    engine.refused[f"{bad.document_id}:0"] = error
    refused = publisher.write(done(bad), [passage(bad)])
    assert publisher.write(done(good), [passage(good)]).result(WAIT_SECONDS)
    assert status(catalog, good) == "indexed"
    assert status(catalog, bad) == "queued"
    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError, match="mapping"):
            refused.result(WAIT_SECONDS)


def test_deleted_document_is_reported_as_unwanted_and_its_removal_is_final(
    catalog: Catalog, engine: Memory, publisher: Publisher
) -> None:
    one = job(catalog, "1")
    with catalog.write() as session:
        documents.delete(session, one.document_id, None)
    assert not publisher.write(done(one), [passage(one)]).result(WAIT_SECONDS)
    assert publisher.remove(one.document_id, deleted=True).result(WAIT_SECONDS)
    assert engine.count() == 0


def test_passages_beyond_the_new_count_go(catalog: Catalog, engine: Memory, publisher: Publisher) -> None:
    one = job(catalog, "1")
    assert publisher.write(Progress(one, 3, 3, True, False), [passage(one, n) for n in range(3)]).result(WAIT_SECONDS)
    assert publisher.write(done(one), [passage(one)], keep_below=1).result(WAIT_SECONDS)
    assert sorted(engine.visible) == [f"{one.document_id}:0"]
