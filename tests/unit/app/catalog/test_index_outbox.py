"""Several indexes kept up at once: what one takes in is owed to the others, and nothing falls between."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from app.catalog import documents, index_outbox, index_state, ingestion_queries
from app.catalog.engine import Catalog
from app.catalog.index_outbox import OutboxEntry
from app.catalog.ingestion_queries import Job, Progress
from app.catalog.tables import now
from app.errors import DocumentRejected, SearchUnavailable
from app.indexing.outbox_consumer import OutboxConsumer, TakeoverResult
from app.indexing.passages import IngestSettings
from app.indexing.reconcile import IndexComparison, reconcile
from app.models.port import Stamp
from app.search.port import Passage
from app.search.sqlite.engine import EmbeddedWriter
from app.text.chunk import cut_into_passages
from app.text.document import ChunkLimits, CutDocument, ParsedDocument
from tests.contract.catalog_promises import accept
from tests.services.migrated import migrated

SHAPE = IngestSettings(passage_tokens=40, overlap_tokens=0, attempts=2, concurrency=1)


def finish(catalog: Catalog, document_id: str, index: str = "teal", revision: int = 1) -> None:
    """As the group commit of `index` does it."""
    with catalog.write() as session:
        assert ingestion_queries.record_progress(session, [Progress(Job(document_id, revision), 1, 1, True, True)])
        index_state.raise_generation(session)
        index_outbox.owe_others(session, index, [document_id])


def register(catalog: Catalog, name: str, *, serving: bool = True) -> None:
    with catalog.write() as session:
        index_outbox.register_index(session, name, serving=serving)


def take(catalog: Catalog, name: str) -> list[OutboxEntry]:
    with catalog.read() as session:
        return index_outbox.next_entries(session, name, limit=100, attempts=2)


def status(catalog: Catalog, document_id: str) -> str:
    with catalog.read() as session:
        listed = {item.id: item.status for item in documents.page(session, limit=100, cursor=None, collections=None).items}
        assert listed[document_id] == documents.get(session, document_id, None).status
        return listed[document_id]


class OutboxPromises:
    """Held on SQLite here and on PostgreSQL in tests/parts/app."""

    url: str

    @pytest.fixture
    def catalog(self) -> Iterator[Catalog]:
        migrated(self.url)
        opened = Catalog(self.url)
        yield opened
        opened.close()

    def test_one_index_alone_is_owed_nothing(self, catalog: Catalog) -> None:
        register(catalog, "teal")
        finish(catalog, accept(catalog, "a").id)
        assert take(catalog, "teal") == []

    def test_a_document_counts_as_indexed_when_every_index_in_service_has_it(self, catalog: Catalog) -> None:
        for name, serving in (("teal", True), ("new", True), ("restored", False)):
            register(catalog, name, serving=serving)
        document = accept(catalog, "a").id
        finish(catalog, document)
        assert {name: len(take(catalog, name)) for name in ("teal", "new", "restored")} == {"teal": 0, "new": 1, "restored": 1}
        assert status(catalog, document) == "processing"
        with catalog.write() as session:
            index_outbox.remove_entries(session, "new", take(catalog, "new"))
        assert status(catalog, document) == "indexed"  # nobody reads the restored one

    def test_an_index_that_nobody_feeds_holds_a_document_up_only_for_a_while(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("teal", "left behind"):
            register(catalog, name, serving=True)
        document = accept(catalog, "a").id
        finish(catalog, document)
        assert status(catalog, document) == "processing"
        monkeypatch.setattr(index_outbox, "AWAITED_SECONDS", -1.0)  # as if the document was owed before
        assert status(catalog, document) == "indexed"
        assert len(take(catalog, "left behind")) == 1

    def test_what_is_owed_again_while_it_is_taken_over_stays_owed(self, catalog: Catalog) -> None:
        register(catalog, "teal")
        register(catalog, "new")
        document = accept(catalog, "a").id
        finish(catalog, document)
        taken = take(catalog, "new")
        with catalog.write() as session:
            index_state.raise_generation(session)
            index_outbox.owe_others(session, "teal", [document])
        with catalog.write() as session:
            index_outbox.remove_entries(session, "new", taken)
        assert [due.document_id for due in take(catalog, "new")] == [document]

    def test_a_document_finished_while_an_index_is_registered_is_owed_or_seeded(self, catalog: Catalog) -> None:
        register(catalog, "teal")
        ids = [accept(catalog, str(number)).id for number in range(60)]
        started = threading.Barrier(3)

        def finish_half(half: Sequence[str]) -> None:
            started.wait(20)
            for one in half:
                finish(catalog, one)

        with ThreadPoolExecutor(2) as pool:
            running = [pool.submit(finish_half, ids[half::2]) for half in (0, 1)]
            started.wait(20)
            register(catalog, "new", serving=False)
            after: str | None = None
            while True:
                with catalog.write() as session:
                    page = index_outbox.add_all_indexed(session, "new", after=after, limit=7)
                if len(page) < 7:
                    break
                after = page[-1]
            for one in running:
                one.result(60)
        assert {due.document_id for due in take(catalog, "new")} == set(ids)
        with catalog.read() as session:
            assert [one.seeded for one in index_outbox.registered_indexes(session)] == [True, True]

    def test_a_dropped_index_is_owed_nothing_any_more(self, catalog: Catalog) -> None:
        register(catalog, "teal")
        register(catalog, "new")
        document = accept(catalog, "a").id
        finish(catalog, document)
        with catalog.write() as session:
            index_outbox.unregister_index(session, "new")
        assert status(catalog, document) == "indexed"
        finish(catalog, accept(catalog, "b").id)
        assert take(catalog, "new") == []

    def test_what_one_index_is_owed_can_be_handed_to_another(self, catalog: Catalog) -> None:
        register(catalog, "teal")
        register(catalog, "restored", serving=False)
        document = accept(catalog, "a").id
        finish(catalog, document)
        with catalog.write() as session:
            index_outbox.hand_over(session, "restored", "teal")
        assert [due.document_id for due in take(catalog, "teal")] == [document]
        with catalog.read() as session:
            assert [one.name for one in index_outbox.registered_indexes(session)] == ["teal"]


class TestSqlite(OutboxPromises):
    @pytest.fixture(autouse=True)
    def _database(self, tmp_path: Path) -> None:
        self.url = f"sqlite:///{tmp_path / 'catalog.db'}"


class Other:
    """An index beside the served one, and who feeds it."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'catalog.db'}"
        migrated(url)
        self.catalog = Catalog(url)
        self.writer = EmbeddedWriter(folder / "search-new.db")
        self.writer.ensure(Stamp("none", "none", 0))
        self.away = False
        self.consumer = OutboxConsumer(self.catalog, self.writer, "new", self.read, lambda: None, SHAPE)
        register(self.catalog, "teal")
        register(self.catalog, "new")

    def read(
        self, body: bytes, media_type: str, filename: str | None, cutting: ChunkLimits, wanted: object = None, /
    ) -> CutDocument:
        if self.away:
            raise SearchUnavailable("the test's engine is away")
        if body == b"broken":
            raise DocumentRejected("nothing to read")
        return cut_into_passages(ParsedDocument(None, body.decode()), cutting)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Other]:
    made = Other(tmp_path)
    yield made
    made.writer.close()
    made.catalog.close()


def test_a_follower_makes_its_index_hold_what_the_catalog_says(other: Other) -> None:
    kept, deleted = accept(other.catalog, "a sentence about tides").id, accept(other.catalog, "gone").id
    finish(other.catalog, kept)
    finish(other.catalog, deleted)
    assert other.consumer.consume() == TakeoverResult(done=2)
    assert other.writer.tally([kept, deleted]) == {kept: 1, deleted: 1}
    with other.catalog.write() as session:
        documents.delete(session, deleted, None)
        ingestion_queries.purged(session, [deleted])
        index_state.raise_generation(session)
        index_outbox.owe_others(session, "teal", [deleted])
    assert other.consumer.consume() == TakeoverResult(done=1)
    assert other.writer.tally([kept, deleted]) == {kept: 1}


def test_a_document_in_work_is_put_off_and_keeps_what_is_findable(other: Other) -> None:
    document = accept(other.catalog, "a sentence").id
    finish(other.catalog, document)
    other.consumer.consume()
    with other.catalog.write() as session:
        ingestion_queries.requeue_all(session, after=None, limit=10)
        index_outbox.add_entries(session, "new", [document])
    assert other.consumer.consume() == TakeoverResult(deferred=1)
    assert other.writer.tally([document]) == {document: 1}
    finish(other.catalog, document, revision=2)
    assert other.consumer.consume() == TakeoverResult(done=1)


def test_a_document_that_fails_stops_no_other_and_is_given_up_with_its_reason(other: Other) -> None:
    broken, good = accept(other.catalog, "broken").id, accept(other.catalog, "good").id
    for one in (broken, good):
        finish(other.catalog, one)
    assert other.consumer.consume() == TakeoverResult(done=1, failed=1)
    assert other.consumer.drain(20.0).failed == 1
    with other.catalog.read() as session:
        assert index_outbox.failed_entries(session, "new", SHAPE.attempts) == [(broken, "DocumentRejected: nothing to read")]
    assert take(other.catalog, "new") == []


def test_nothing_is_settled_while_a_part_is_away(other: Other) -> None:
    document = accept(other.catalog, "good").id
    finish(other.catalog, document)
    other.away = True
    with pytest.raises(SearchUnavailable):
        other.consumer.consume()
    other.away = False
    assert other.consumer.consume() == TakeoverResult(done=1)


def test_reconciling_owes_what_is_missing_and_what_should_not_be_there(other: Other) -> None:
    whole, missing, deleted = (accept(other.catalog, text).id for text in ("whole", "missing", "deleted"))
    for one in (whole, missing, deleted):
        finish(other.catalog, one, index="new")
    other.writer.put([Passage(f"{one}:0", one, 0, "t", "x", "default") for one in (whole, deleted, "unknown")])
    with other.catalog.write() as session:
        documents.delete(session, deleted, None)
    assert reconcile(other.catalog, other.writer, "new") == IndexComparison(documents=2, missing=1, extra=2)
    other.consumer.consume()
    assert other.writer.tally([whole, missing, deleted, "unknown"]) == {whole: 1, missing: 1}
    assert reconcile(other.catalog, other.writer, "new") == IndexComparison(2, 0, 0)
    hour = timedelta(hours=1)
    assert reconcile(other.catalog, other.writer, "new", changed_since=now() + hour) == IndexComparison(2, 0, 0)
    assert reconcile(other.catalog, other.writer, "new", changed_since=now() - hour) == IndexComparison(2, 2, 0)
