"""The catalog's promises on SQLite; `tests/parts/app/test_catalog_postgres.py` asks the same of PostgreSQL."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text, update

from app.catalog import (
    documents,
    index_outbox,
    index_state,
    ingestion_queries,
    keys,
    query_sample,
    sessions,
    usage,
    versions,
    visibility,
)
from app.catalog.engine import Catalog, head_revision, schema_revision
from app.catalog.ingestion_queries import Job, Progress
from app.catalog.tables import Base, DocumentRow, KeyRow, new_id, oldest_id
from app.errors import CatalogUnavailable, Conflict, InvalidRequest, NotFound, StorageFull, Unauthenticated
from tests.contract.catalog_promises import accept, fill, plans, submission
from tests.services.migrated import migrated


class Promises:
    """Every test here runs on each database; a subclass says where the database is."""

    url: str

    @pytest.fixture
    def catalog(self) -> Iterator[Catalog]:
        migrated(self.url)
        catalog = Catalog(self.url)
        yield catalog
        catalog.close()

    def test_schema_is_at_head_and_equals_the_tables_in_code(self, catalog: Catalog) -> None:
        assert schema_revision(self.url) == head_revision()
        with catalog.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []

    def test_accepted_document_comes_back_as_it_was_sent(self, catalog: Catalog) -> None:
        accepted = accept(catalog, "words", source="s")
        with catalog.read() as session:
            found = documents.get(session, accepted.id, ("default",))
        assert (found.title, found.source, found.collection, dict(found.metadata)) == ("Title", "s", "default", {"a": "b"})
        assert (found.bytes, found.status, found.progress, found.error) == (5, "queued", 0.0, None)
        assert abs(datetime.now(UTC) - found.created_at) < timedelta(minutes=1)

    def test_same_content_is_one_document_per_collection(self, catalog: Catalog) -> None:
        first = accept(catalog, "words")
        again = accept(catalog, "words")
        elsewhere = accept(catalog, "words", collection="other")
        assert (again.id, again.created) == (first.id, False)
        assert elsewhere.id != first.id
        assert elsewhere.created

    def test_same_content_sent_by_many_at_once_is_one_document(self, catalog: Catalog) -> None:
        barrier = threading.Barrier(8)

        def send(_: int) -> documents.AcceptedDocument:
            barrier.wait()
            return accept(catalog, "words", key="one")

        with ThreadPoolExecutor(8) as pool:
            accepted = list(pool.map(send, range(8)))
        assert len({one.id for one in accepted}) == 1
        assert sum(one.created for one in accepted) == 1

    def test_idempotency_key_gives_the_same_answer_and_refuses_another_request(self, catalog: Catalog) -> None:
        first = accept(catalog, "words", key="one")
        assert accept(catalog, "words", key="one").id == first.id
        with pytest.raises(Conflict, match="one"):
            accept(catalog, "other words", key="one")
        assert accept(catalog, "other words", key="one", key_id="somebody else").created

    def test_deleted_document_is_gone_and_may_be_sent_again(self, catalog: Catalog) -> None:
        first = accept(catalog, "words", key="one")
        with catalog.write() as session:
            documents.delete(session, first.id, None)
        with catalog.read() as session, pytest.raises(NotFound):
            documents.get(session, first.id, None)
        assert accept(catalog, "words", key="one").id != first.id
        with catalog.read() as session:
            assert ingestion_queries.to_purge(session, older_than_seconds=0, limit=9) == [first.id]

    def test_documents_of_other_collections_are_not_seen(self, catalog: Catalog) -> None:
        mine, other = accept(catalog, "1", collection="mine"), accept(catalog, "2", collection="other")
        with catalog.write() as session:
            assert [one.id for one in documents.page(session, limit=9, cursor=None, collections=("mine",)).items] == [mine.id]
            assert documents.collection_counts(session, ("mine",)) == {"mine": 1}
            assert documents.collection_counts(session, None) == {"mine": 1, "other": 1}
            for act in (documents.get, documents.delete, documents.retry):
                with pytest.raises(NotFound):
                    act(session, other.id, ("mine",))

    def test_pages_show_every_document_once_newest_first(self, catalog: Catalog) -> None:
        fill(catalog, 250)
        seen: list[str] = []
        cursor = None
        with catalog.read() as session:
            while True:
                page = documents.page(session, limit=40, cursor=cursor, collections=None)
                seen += [one.id for one in page.items]
                cursor = page.next
                if cursor is None:
                    break
        assert seen == sorted(seen, reverse=True)
        assert len(set(seen)) == len(seen) == 249
        with catalog.read() as session, pytest.raises(InvalidRequest, match="cursor"):
            documents.page(session, limit=1, cursor="'; --", collections=None)

    @pytest.mark.parametrize("asked", ["übersicht", "ÜBERSICHT", "обзор", "100%", "a_b", "HANDBUCH.pdf"])
    def test_a_document_is_found_by_a_part_of_its_title_or_source_whatever_its_case(self, catalog: Catalog, asked: str) -> None:
        wanted = accept(catalog, "1", title="Die Übersicht, Обзор: 100% a_b", source="https://example.org/Handbuch.PDF")
        accept(catalog, "2", title="Die Ubersicht: 1000 axb", source="https://example.org/other")
        with catalog.read() as session:
            found = documents.page(session, limit=9, cursor=None, collections=None, named=asked).items
        assert [one.id for one in found] == [wanted.id]

    def test_failed_document_is_queued_again_by_retry_and_by_sending_it_again(self, catalog: Catalog) -> None:
        first = accept(catalog, "words")
        for revision, again in ((1, None), (2, "words")):
            with catalog.write() as session:
                assert ingestion_queries.mark_failed(session, Job(first.id, revision), "internal", "why")
                error = documents.get(session, first.id, None).error
                assert error is not None
                assert (error["code"], error["detail"]) == ("internal", "why")
                assert first.id in error["action"]
            if again:
                queued = accept(catalog, again)
            else:
                with catalog.write() as session:
                    queued = documents.retry(session, first.id, None)
            assert (queued.id, queued.status, queued.revision, queued.created) == (first.id, "queued", revision + 1, True)

    def test_worker_of_an_old_revision_changes_nothing(self, catalog: Catalog) -> None:
        first = accept(catalog, "words")
        old = Job(first.id, 1)
        with catalog.write() as session:
            assert ingestion_queries.count_attempt(session, old)
            new = ingestion_queries.take_over(session, old)
            assert new == Job(first.id, 2)
            assert ingestion_queries.take_over(session, old) is None
            assert not ingestion_queries.count_attempt(session, old)
            assert not ingestion_queries.mark_failed(session, old, "internal", "late")
            assert ingestion_queries.record_progress(session, [Progress(old, 1, 1, True, True)]) == set()
            assert ingestion_queries.load_task(session, old) is None
            assert documents.get(session, first.id, None).status == "queued"

    def test_progress_ends_at_indexed_and_bumps_are_counted(self, catalog: Catalog) -> None:
        first = accept(catalog, "words", title="")
        job = Job(first.id, 1)
        with catalog.write() as session:
            ingestion_queries.count_attempt(session, job)
            ingestion_queries.record_progress(session, [Progress(job, 1, 4, True, False)])
            assert documents.get(session, first.id, None).progress == 0.25
            ingestion_queries.record_progress(session, [Progress(job, 4, 4, False, True, "Found title")])
            found = documents.get(session, first.id, None)
            assert (found.status, found.progress, found.passages, found.embedded, found.title) == (
                "indexed",
                1.0,
                4,
                False,
                "Found title",
            )
            assert index_state.index_generation(session) == 0
            assert [index_state.raise_generation(session), index_state.raise_generation(session)] == [1, 2]
            assert ingestion_queries.requeue_unembedded(session, 10) == [Job(first.id, 2)]
            assert documents.count_by_status(session) == {"queued": 1, "processing": 0, "indexed": 0, "failed": 0}

    def test_attempts_count_starts_and_survivors_get_theirs_back(self, catalog: Catalog) -> None:
        job = Job(accept(catalog, "words").id, 1)
        with catalog.write() as session:
            ingestion_queries.count_attempt(session, job)
            ingestion_queries.count_attempt(session, job)
            ingestion_queries.return_attempts(session, [job])
            task = ingestion_queries.load_task(session, job)
            assert task is not None
            assert task.attempts == 1
            ingestion_queries.return_attempts(session, [job, job, job])
            task = ingestion_queries.load_task(session, job)
            assert task is not None
            assert task.attempts == 0

    def test_key_opens_until_revoked_or_expired(self, catalog: Catalog) -> None:
        with catalog.write() as session:
            info, secret = keys.create_key(session, name="n", role="writer", collections=("a",))
            _, expired = keys.create_key(session, name="old", role="admin", expires_at=datetime.now(UTC) - timedelta(seconds=1))
        with catalog.write() as session:
            who = keys.verify_key(session, secret)
            assert (who.key_id, who.name, who.role, who.collections) == (info.id, "n", "writer", ("a",))
            assert who.may("reader")
            assert who.may("writer")
            assert not who.may("admin")
            wrong = secret[:-2] + ("AA" if not secret.endswith("AA") else "BB")
            for bad in (expired, wrong, "", "teal_x_y", "teal_" + "0" * 12 + "_" + "a" * 43):
                with pytest.raises(Unauthenticated):
                    keys.verify_key(session, bad)
            token = sessions.open_session(session, info.id, 1)
            assert sessions.session_principal(session, token) == who
            keys.revoke(session, info.id)
            with pytest.raises(Unauthenticated):
                keys.verify_key(session, secret)
            with pytest.raises(Unauthenticated):
                sessions.session_principal(session, token)
            with pytest.raises(NotFound):
                keys.revoke(session, "nobody")
            assert [(one.name, one.revoked_at is not None) for one in keys.list_keys(session)] == [("n", True), ("old", False)]

    def test_a_rotated_key_leaves_no_moment_without_a_valid_one_and_changes_no_right(self, catalog: Catalog) -> None:
        with catalog.write() as session:
            old, old_text = keys.create_key(session, name="n", role="writer", collections=("a",), quota=keys.Quota(9, 3))
            new, new_text = keys.rotate(session, old.id, grace=timedelta(hours=1))
            before, after = keys.verify_key(session, old_text), keys.verify_key(session, new_text)
            assert (before.name, before.role, before.collections, before.quota) == ("n", "writer", ("a",), keys.Quota(9, 3))
            assert (after.name, after.role, after.collections, after.quota) == ("n", "writer", ("a",), keys.Quota(9, 3))
            listed = {info.id: info for info in keys.list_keys(session)}
            assert listed[old.id].replaced_by == new.id
            assert abs(listed[old.id].expires_at - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=1)  # type: ignore[operator]
            assert listed[new.id].expires_at is None
            with pytest.raises(InvalidRequest, match=new.id):
                keys.rotate(session, old.id, grace=timedelta(hours=1))

    def test_a_rotated_key_never_lives_longer_and_its_successor_as_long_as_it_did(self, catalog: Catalog) -> None:
        with catalog.write() as session:
            end = datetime.now(UTC) + timedelta(days=30)
            old, _ = keys.create_key(session, name="n", role="reader", expires_at=end)
            new, _ = keys.rotate(session, old.id, grace=timedelta(days=90))
            listed = {info.id: info for info in keys.list_keys(session)}
            assert listed[old.id].expires_at == end
            assert abs(new.expires_at - end) < timedelta(minutes=1)  # type: ignore[operator]
            keys.revoke(session, new.id)
            for ended, refusal in ((new.id, InvalidRequest), ("nobody", NotFound)):
                with pytest.raises(refusal):
                    keys.rotate(session, ended, grace=timedelta(hours=1))

    def test_of_a_days_quota_no_more_is_given_however_many_take(self, catalog: Catalog) -> None:
        with catalog.write() as session:
            info, _ = keys.create_key(session, name="n", role="reader")
        day = datetime.now(UTC).date()

        def take(_: int) -> int:
            with catalog.write() as session:
                return usage.reserve(session, info.id, "questions", day, count=4, limit=50)

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(take, range(30))) == 50
        with catalog.write() as session:
            assert usage.used_on_day(session, day) == {info.id: {"requests": 0, "questions": 50}}
            assert usage.reserve(session, info.id, "requests", day, count=1, limit=1) == 1  # each kind for itself
            assert usage.reserve(session, info.id, "questions", day + timedelta(days=1), count=1, limit=50) == 1
            assert usage.reserve(session, info.id, "questions", day + timedelta(days=99), count=1, limit=50) == 1
            assert usage.used_on_day(session, day) == {}  # forgotten with the first of a day so much later

    def test_secrets_are_not_in_the_database(self, catalog: Catalog) -> None:
        with catalog.write() as session:
            info, secret = keys.create_key(session, name="n", role="reader")
            row = session.get(KeyRow, info.id)
            assert row is not None
            assert secret.split("_", 2)[2] not in str(vars(row))  # after the key's id; it may hold "_" itself

    def test_closed_session_is_over(self, catalog: Catalog) -> None:
        with catalog.write() as session:
            info, _ = keys.create_key(session, name="n", role="reader")
            token = sessions.open_session(session, info.id, 1)
            sessions.close_session(session, token)
            with pytest.raises(Unauthenticated):
                sessions.session_principal(session, token)

    def test_a_newer_version_replaces_the_older_only_when_it_is_indexed(self, catalog: Catalog) -> None:
        old = accept(catalog, "twelve barrels", filename="shed.md")
        other = accept(catalog, "nineteen barrels", filename="shed.md", collection="elsewhere")
        index(catalog, old, other)
        new = accept(catalog, "nineteen barrels", filename="shed.md")
        assert index(catalog, new) == [old.id]
        with catalog.read() as session:
            assert (
                visibility.deleted_among(session, [old.id, new.id, other.id])
                == visibility.read_visibility(session, "teal").deleted
                == {old.id}
            )
            assert documents.get(session, old.id, None).id == new.id  # an id goes on to name the document
            assert documents.get(session, new.id, None).status == "processing"  # a process may still show the old one
            assert documents.get(session, other.id, None).status == "indexed"

    def test_a_newer_version_that_failed_leaves_the_older_and_can_be_deleted_alone(self, catalog: Catalog) -> None:
        old = accept(catalog, "good", source="policy")
        index(catalog, old)
        new = accept(catalog, "broken", source="policy")
        with catalog.write() as session:
            assert ingestion_queries.mark_failed(session, Job(new.id, 1), "unsupported-media", "broken")
            assert versions.make_way(session, [new.id]) == []
            assert documents.delete(session, new.id, None) == [new.id]
            assert documents.get(session, old.id, None).status == "indexed"

    def test_a_version_waits_until_every_index_in_service_holds_the_newer(self, catalog: Catalog) -> None:
        with catalog.write() as session:
            for name in ("blue", "green"):
                index_outbox.register_index(session, name, serving=True)
        old = accept(catalog, "one", source="s")
        index(catalog, old)
        new = accept(catalog, "two", source="s")
        with catalog.write() as session:
            index_outbox.add_entries(session, "green", [new.id])
        assert index(catalog, new) == []
        with catalog.write() as session:
            index_outbox.remove_entries(session, "green", index_outbox.next_entries(session, "green", limit=9, attempts=9))
            assert versions.overdue(session, 9) == [new.id]
            assert versions.make_way(session, [new.id]) == [old.id]
            assert versions.overdue(session, 9) == []

    def test_the_older_content_sent_again_is_the_newest_version(self, catalog: Catalog) -> None:
        old = accept(catalog, "one", source="s")
        index(catalog, old)
        newer = accept(catalog, "two", source="s")
        again = accept(catalog, "one", source="s")
        assert (again.id, again.created) == (old.id, False)
        with catalog.read() as session:
            assert visibility.deleted_among(session, [old.id, newer.id]) == {newer.id}

    def test_the_same_content_under_another_name_is_told_and_ends_what_that_name_held(self, catalog: Catalog) -> None:
        first = accept(catalog, "words", filename="a.txt")
        stale = accept(catalog, "other words", filename="b.txt")
        index(catalog, first, stale)
        again = accept(catalog, "words", filename="b.txt")
        assert (again.id, again.created, again.known_as) == (first.id, False, "a.txt")
        assert accept(catalog, "words", filename="a.txt").known_as is None
        with catalog.read() as session:
            assert visibility.deleted_among(session, [first.id, stale.id]) == {stale.id}

    def test_a_deletion_takes_every_version_with_it(self, catalog: Catalog) -> None:
        old = accept(catalog, "one", source="s")
        index(catalog, old)
        new = accept(catalog, "two", source="s")
        with catalog.write() as session:
            assert set(documents.delete(session, new.id, None)) == {old.id, new.id}
        with pytest.raises(NotFound), catalog.read() as session:
            documents.get(session, old.id, None)

    def test_put_replaces_under_both_ids_and_keeps_collection_and_source(self, catalog: Catalog) -> None:
        old = accept(catalog, "one", source="s", collection="c")
        index(catalog, old)
        with catalog.write() as session:
            new = documents.put(session, old.id, submission("two"), ("c",))
            assert documents.get(session, old.id, ("c",)).id == new.id
            found = documents.get(session, new.id, ("c",))
            assert (found.collection, found.source, found.status) == ("c", "s", "queued")
            with pytest.raises(NotFound):
                documents.put(session, old.id, submission("three"), ("d",))
        assert index(catalog, new) == [old.id]
        with catalog.write() as session:  # the same content with other words about it
            again = documents.put(session, new.id, submission("two", metadata={"year": "2026"}), None)
            assert (again.id, again.created) == (new.id, True)
            assert documents.get(session, new.id, None).metadata == {"year": "2026"}

    def test_versions_accepted_at_once_see_each_other(self, catalog: Catalog) -> None:
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda number: accept(catalog, f"version {number}", source="s"), range(8)))
        index(catalog, *made)
        with catalog.read() as session:
            assert len(visibility.deleted_among(session, [one.id for one in made])) == 7

    def test_many_are_deleted_by_ids_collection_and_source_within_what_the_key_sees(self, catalog: Catalog) -> None:
        a, b, c = (accept(catalog, word, source=word, collection=f"c{word}") for word in ("a", "b", "c"))
        with catalog.write() as session:
            find = functools.partial(documents.delete_many, session, limit=10)
            assert find(ids=[a.id, b.id, "nothing"], collections=("cb",), source=None) == [b.id]
            assert find(ids=None, collections=("ca", "cc"), source="c") == [c.id]
            assert find(ids=None, collections=("ca",), source=None) == [a.id]
            assert find(ids=None, collections=("ca",), source=None) == []

    @pytest.mark.parametrize(
        ("action", "index"),
        [
            (
                lambda s: documents.page(s, limit=20, cursor=f"{2500:036d}", collections=None),
                ("documents_listing", "documents_pkey"),
            ),
            (lambda s: documents.page(s, limit=20, cursor=None, collections=None), ("documents_listing", "documents_pkey")),
            (
                lambda s: documents.page(s, limit=20, cursor=f"{2500:036d}", collections=("c3",)),
                ("documents_collection_listing",),
            ),
            (
                lambda s: documents.page(s, limit=20, cursor=None, collections=None, status="failed"),
                ("documents_status_listing",),
            ),
            (lambda s: ingestion_queries.queued_jobs(s, older_than_seconds=1, limit=20, after=None), ("documents_status_sweep",)),
            (lambda s: ingestion_queries.oldest_queued(s), ("documents_status_sweep",)),
            (lambda s: ingestion_queries.to_purge(s, older_than_seconds=1, limit=20), ("documents_to_purge",)),
            (lambda s: s.execute(_unembedded()), ("documents_to_embed",)),
            (lambda s: versions.take_place(s, "x", "c3", "some/path"), ("documents_origin",)),
            (lambda s: versions.waited_for(s, ["x"]), ("documents_waiting", "documents_replaced")),
            (lambda s: versions.overdue(s, 9), ("documents_waiting", "documents_replaced")),
            (lambda s: versions.replacing(s, ["x"]), ("documents_replaced",)),
            (lambda s: visibility.read_visibility(s, "teal"), ("documents_purged", "documents_to_purge")),
            (lambda s: documents.accept(s, submission("fresh"), key_id="k", idempotency_key=None), ()),
            (lambda s: s.execute(_by_content()), ("documents_content",)),
        ],
    )
    def test_queries_use_their_index(self, catalog: Catalog, action: Callable[[Any], Any], index: tuple[str, ...]) -> None:
        fill(catalog, 5_000)
        found = plans(catalog, action)
        assert found
        if index:
            assert any(name in found[0] for name in index), found[0]
        assert "SCAN documents\n" not in found[0] + "\n"
        assert "Seq Scan" not in found[0]

    def test_the_sample_of_queries_is_bounded_in_rows_and_days(self, catalog: Catalog) -> None:
        with catalog.write() as session:
            query_sample.add(session, [sampled(days_ago=8), sampled(days_ago=6), *(sampled() for _ in range(5))])
            query_sample.trim(session, "texts")
            assert query_sample.count(session) == 6
            query_sample.trim(session, "texts", most_rows=4)
            assert query_sample.count(session) == 4
            assert len(query_sample.newest_with_text(session, 3)) == 3

    def test_texts_go_when_the_setting_goes_back_and_all_goes_when_it_is_off(self, catalog: Catalog) -> None:
        with catalog.write() as session:
            query_sample.add(session, [sampled(), sampled()])
            query_sample.trim(session, "hashes")
            assert (query_sample.count(session), query_sample.newest_with_text(session, 9)) == (2, [])
            query_sample.trim(session, "off")
            assert query_sample.count(session) == 0

    def test_missing_schema_says_what_to_run(self, catalog: Catalog) -> None:
        with catalog.write() as session:
            session.execute(text("ALTER TABLE index_state RENAME TO gone"))
        with pytest.raises(CatalogUnavailable, match=r"app\.admin migrate"), catalog.read() as session:
            index_state.index_generation(session)

    def test_failed_transaction_leaves_nothing(self, catalog: Catalog) -> None:
        def stopped() -> None:
            with catalog.write() as session:
                documents.accept(session, submission("words"), key_id="k", idempotency_key=None)
                raise RuntimeError("stop")

        with pytest.raises(RuntimeError, match="stop"):
            stopped()
        with catalog.read() as session:
            assert sum(documents.count_by_status(session).values()) == 0


def index(catalog: Catalog, *accepted: documents.AcceptedDocument) -> list[str]:
    """Index these as a worker does; the ids of what they replaced."""
    with catalog.write() as session:
        jobs = [Job(one.id, one.revision) for one in accepted]
        ingestion_queries.record_progress(session, [Progress(job, 1, 1, True, True) for job in jobs])
    with catalog.write() as session:
        return versions.make_way(session, [one.id for one in accepted])


def sampled(*, days_ago: float = 0) -> dict[str, Any]:
    """A row of the sample of queries with its text."""
    id = oldest_id(datetime.now(UTC) - timedelta(days=days_ago)) + new_id()[13:]
    return {
        "id": id, "kind": "ask", "mode": None, "top_k": 6, "collections": None, "conditions": [], "text_hash": "0" * 64,
        "characters": 9, "hits": 1, "answered": True, "request": b"encrypted",
    }  # fmt: skip


def _unembedded() -> Any:
    from sqlalchemy import select

    return select(DocumentRow.id).where(text("NOT embedded AND deleted_at IS NULL")).order_by(DocumentRow.id).limit(20)


def _by_content() -> Any:
    from sqlalchemy import select

    return select(DocumentRow).where(
        DocumentRow.collection == "c3", DocumentRow.content_sha256 == f"{3:064d}", DocumentRow.deleted_at.is_(None)
    )


class TestSQLite(Promises):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.url = f"sqlite:///{tmp_path / 'catalog.db'}"

    def test_files_are_in_wal_mode_with_foreign_keys(self, catalog: Catalog) -> None:
        with catalog.read() as session:
            assert session.scalar(text("PRAGMA journal_mode")) == "wal"
            assert session.scalar(text("PRAGMA foreign_keys")) == 1
            assert session.scalar(text("PRAGMA busy_timeout")) == 15_000

    def test_readers_do_not_wait_for_a_writer(self, catalog: Catalog) -> None:
        accept(catalog, "words")
        with catalog.write() as writer:
            writer.execute(update(DocumentRow).values(title="changed"))
            with catalog.read() as reader:
                assert reader.scalars(text("SELECT title FROM documents")).one() == "Title"

    def test_full_disk_is_storage_full(self, catalog: Catalog) -> None:
        def fill_up() -> None:
            with catalog.write() as session:
                pages = session.scalar(text("PRAGMA page_count"))
                session.execute(text(f"PRAGMA max_page_count = {pages + 1}"))
                documents.accept(session, submission("x" * 100_000), key_id="k", idempotency_key=None)

        with pytest.raises(StorageFull, match="free disk space"):
            fill_up()

    def test_file_that_is_no_database_is_catalog_unavailable(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        with pytest.raises(CatalogUnavailable, match="Next: "), Catalog(f"sqlite:///{tmp_path / 'folder'}").read() as session:
            session.execute(text("SELECT 1"))


def test_every_revision_says_whether_it_expands_or_contracts() -> None:
    folder = Path(import_module("app.catalog.migrations").__file__ or "").parent / "versions"
    names = [file.stem for file in folder.glob("[0-9]*.py")]
    assert names
    for name in names:
        assert import_module(f"app.catalog.migrations.versions.{name}").phase in ("expand", "contract")


def test_ids_sort_by_time_and_are_uuids_of_version_7() -> None:
    import time
    import uuid

    first = new_id()
    begun = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == begun:
        pass  # ids made within one millisecond have no order
    assert first < new_id()
    assert uuid.UUID(first).version == 7
    assert uuid.UUID(first).variant == uuid.RFC_4122
