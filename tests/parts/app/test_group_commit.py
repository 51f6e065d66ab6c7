"""The group commit and the documents it writes for keep their promises while the search engine misbehaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import apsw
import numpy as np
import pytest

from app.catalog import documents, index_state, ingestion_queries
from app.catalog.engine import Catalog, migrate
from app.catalog.ingestion_queries import Job, Progress
from app.errors import PassageRefused, SearchUnavailable
from app.indexing.group_commit import GroupCommit
from app.indexing.passages import IngestSettings
from app.ingestion.processor import Ingestion
from app.models.port import Stamp
from app.search.port import Passage
from app.search.sqlite.engine import EmbeddedWriter
from app.text.chunk import cut_into_passages
from app.text.document import ChunkLimits, CutDocument, ParsedDocument
from tests.contract.catalog_promises import accept
from tests.parts.app.service import until

WAIT_SECONDS = 20.0


class Memory:
    """A search engine in a dictionary; `away` makes it unreachable, `refused` names passages it cannot take."""

    def __init__(self) -> None:
        self.written: dict[str, Passage] = {}
        self.visible: dict[str, Passage] = {}
        self.publications = 0
        self.away = threading.Event()
        self.refused: dict[str, Exception] = {}
        self.refusals = 0

    def ensure(self, stamp: Stamp) -> str:
        return "memory"

    def put(self, passages: Sequence[Passage]) -> None:
        self._reach()
        for passage in passages:
            if passage.id in self.refused:
                self.refusals += 1
                raise self.refused[passage.id]
        self.written |= {passage.id: passage for passage in passages}

    def delete_document(self, document_id: str, *, keep_below: int = 0) -> int:
        self._reach()
        gone = [one.id for one in self.written.values() if one.document_id == document_id and one.ordinal >= keep_below]
        for identity in gone:
            del self.written[identity]
        return len(gone)

    def refresh(self) -> None:
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
def group_commit(catalog: Catalog, engine: Memory) -> Iterator[GroupCommit]:
    stop = threading.Event()
    group_commit = GroupCommit(engine, catalog, stop, "teal")
    group_commit.start()
    yield group_commit
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


def test_indexed_means_findable_and_many_share_one_publication(
    catalog: Catalog, engine: Memory, group_commit: GroupCommit
) -> None:
    jobs = [job(catalog, str(number)) for number in range(20)]
    outcomes = [group_commit.write(done(one), [passage(one)]) for one in jobs]
    for one, outcome in zip(jobs, outcomes, strict=True):
        assert outcome.result(WAIT_SECONDS)
        assert engine.count(one.document_id) == 1
        assert status(catalog, one) == "indexed"
    assert engine.publications <= 3
    with catalog.read() as session:
        assert index_state.index_generation(session) == engine.publications


def test_outage_delays_and_loses_nothing(catalog: Catalog, engine: Memory, group_commit: GroupCommit) -> None:
    engine.away.set()
    one = job(catalog, "1")
    assert group_commit.begin(one)
    group_commit.survived(one)
    outcome = group_commit.write(done(one), [passage(one)])
    until("it waits for the engine", lambda: group_commit.waiting_for == "search-unavailable", WAIT_SECONDS)
    with pytest.raises(TimeoutError):
        outcome.result(1.5)
    assert status(catalog, one) == "processing"
    assert group_commit.waiting_for == "search-unavailable"
    engine.away.clear()
    assert outcome.result(WAIT_SECONDS)
    assert status(catalog, one) == "indexed"
    assert group_commit.waiting_for is None


@pytest.mark.parametrize("error", [SearchUnavailable("item 0 failed"), RuntimeError("mapping")])
def test_document_the_engine_refuses_holds_up_nobody(
    catalog: Catalog, engine: Memory, group_commit: GroupCommit, error: Exception
) -> None:
    bad, good = job(catalog, "bad"), job(catalog, "good")
    engine.refused[f"{bad.document_id}:0"] = error
    refused = group_commit.write(done(bad), [passage(bad)])
    assert group_commit.write(done(good), [passage(good)]).result(WAIT_SECONDS)
    assert status(catalog, good) == "indexed"
    assert status(catalog, bad) == "queued"
    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError, match="mapping"):
            refused.result(WAIT_SECONDS)


def test_deleted_document_is_reported_as_unwanted_and_its_removal_is_final(
    catalog: Catalog, engine: Memory, group_commit: GroupCommit
) -> None:
    one = job(catalog, "1")
    with catalog.write() as session:
        documents.delete(session, one.document_id, None)
    assert not group_commit.write(done(one), [passage(one)]).result(WAIT_SECONDS)
    assert group_commit.remove(one.document_id, deleted=True).result(WAIT_SECONDS)
    assert engine.count() == 0


def test_passages_beyond_the_new_count_go(catalog: Catalog, engine: Memory, group_commit: GroupCommit) -> None:
    one = job(catalog, "1")
    assert group_commit.write(Progress(one, 3, 3, True, False), [passage(one, n) for n in range(3)]).result(WAIT_SECONDS)
    assert group_commit.write(done(one), [passage(one)], keep_below=1).result(WAIT_SECONDS)
    assert sorted(engine.visible) == [f"{one.document_id}:0"]


def test_nothing_is_written_after_a_write_that_failed(catalog: Catalog, engine: Memory, group_commit: GroupCommit) -> None:
    one = job(catalog, "1")
    engine.refused[f"{one.document_id}:0"] = RuntimeError("mapping")
    first = group_commit.write(Progress(one, 1, 3, True, False), [passage(one, 0)])
    second = group_commit.write(Progress(one, 2, 3, True, False), [passage(one, 1)], after=first)
    with pytest.raises(RuntimeError, match="mapping"):
        second.result(WAIT_SECONDS)
    last = group_commit.write(done(one, 3), [passage(one, 2)], after=second)  # arrives when the others have failed
    with pytest.raises(RuntimeError, match="mapping"):
        last.result(WAIT_SECONDS)
    assert status(catalog, one) == "queued"
    assert not engine.written


@pytest.fixture
def ingestion(catalog: Catalog, group_commit: GroupCommit, monkeypatch: pytest.MonkeyPatch) -> Ingestion:
    monkeypatch.setattr("app.ingestion.processor.RETRY_SECONDS", 0.0)

    def read(body: bytes, media_type: str, filename: str | None, cutting: ChunkLimits, wanted: object = None, /) -> CutDocument:
        return cut_into_passages(ParsedDocument(None, body.decode()), cutting)

    return Ingestion(catalog, group_commit, read, lambda: None, IngestSettings(200, 20, 3, 2), threading.Event())


def start(ingestion: Ingestion, job: Job) -> tuple[threading.Thread, list[str]]:
    outcome: list[str] = []
    thread = threading.Thread(target=lambda: outcome.append(ingestion.run(job)), daemon=True)
    thread.start()
    return thread, outcome


def failure(catalog: Catalog, job: Job) -> dict[str, str]:
    with catalog.read() as session:
        error = documents.get(session, job.document_id, None).error
    assert error is not None
    return dict(error)


def test_document_whose_write_fails_for_good_is_tried_three_times(catalog: Catalog, engine: Memory, ingestion: Ingestion) -> None:
    bad = job(catalog, "A few words.")
    engine.refused[f"{bad.document_id}:0"] = ValueError("no such form")
    thread, outcome = start(ingestion, bad)
    thread.join(WAIT_SECONDS)
    assert outcome == ["failed"]
    assert engine.refusals == 3
    assert failure(catalog, bad)["code"] == "internal"
    assert "ValueError: no such form (tried 3 times)" in failure(catalog, bad)["detail"]


@pytest.mark.parametrize(("sentences", "place"), [(1, 0), (2_000, 40)], ids=["only-batch", "second-batch-of-more"])
def test_document_with_a_refused_passage_fails_alone_and_leaves_nothing(
    catalog: Catalog, engine: Memory, ingestion: Ingestion, sentences: int, place: int
) -> None:
    text = " ".join(f"Sentence {number} of a document says something of its own." for number in range(sentences))
    bad, good = job(catalog, text), [job(catalog, f"Good words {number}.") for number in range(5)]
    engine.refused[f"{bad.document_id}:{place}"] = PassageRefused(f"The passage {place} is refused.")
    started = [start(ingestion, one) for one in (bad, *good)]
    for thread, _ in started:
        thread.join(WAIT_SECONDS)
    assert [outcome for _, outcome in started] == [["failed"], *[["indexed"]] * 5]
    assert failure(catalog, bad)["code"] == "passage-refused"
    assert f"passage {place}" in failure(catalog, bad)["detail"]
    assert sorted(engine.visible) == sorted(f"{one.document_id}:0" for one in good)


def test_waiting_for_the_engine_holds_no_attempt(
    catalog: Catalog, engine: Memory, group_commit: GroupCommit, ingestion: Ingestion
) -> None:
    """However many workers end during an outage, none of the waiting documents counts as their killer."""
    engine.away.set()
    one = job(catalog, "A few words.")
    thread, outcome = start(ingestion, one)

    def attempts() -> int:
        with catalog.read() as session:
            task = ingestion_queries.load_task(session, one)
        assert task is not None
        return task.attempts

    until("it waits for the engine", lambda: group_commit.waiting_for == "search-unavailable", WAIT_SECONDS)
    until("its attempt is given back", lambda: attempts() == 0, WAIT_SECONDS)
    thread.join(1.0)  # longer than a tick: it stays so
    assert (attempts(), status(catalog, one)) == (0, "processing")
    engine.away.clear()
    thread.join(WAIT_SECONDS)
    assert outcome == ["indexed"]


def test_embedded_index_names_a_passage_it_can_never_take_and_stays_whole(tmp_path: Path) -> None:
    writer = EmbeddedWriter(tmp_path / "search.db")
    writer.ensure(Stamp("m", "d", 2))
    good = Passage("good:0", "good", 0, "t", "x", "default", vector=np.ones(2, dtype=np.float32))
    against_schema = replace(good, id="bad:0", collection=cast("str", None))
    with pytest.raises(PassageRefused, match=r"passage bad:0: .*NOT NULL"):
        writer.put([good, against_schema])
    assert writer.count() == 0
    writer._connection.limit(apsw.SQLITE_LIMIT_LENGTH, 10_000)
    with pytest.raises(PassageRefused, match=r"passage bad:1: .*too big"):
        writer.put([replace(good, id="bad:1", text="x" * 20_000)])
    writer.put([good])
    assert writer.count() == 1
    writer.close()
