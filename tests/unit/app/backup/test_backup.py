"""Snapshots of a laptop's service: whole or none, opened by their key alone, refused when they are not what they should be."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest

from app.backup import check, encryption, manifest, snapshot
from app.backup.adapters import choose_snapshot, open_store, own_source
from app.backup.encryption import with_seal
from app.backup.manifest import Manifest
from app.backup.port import SnapshotSource
from app.backup.restore import begin_search, put_catalog_in_place, refuse_nothing_for_something
from app.catalog import documents, index_outbox, index_state, keys, snapshot_checks, sqlite_copy
from app.catalog.engine import Catalog
from app.commands import index as admin_index
from app.errors import BackupFailed, InvalidRequest, NotFound, SnapshotRefused
from app.indexing.outbox_consumer import OutboxConsumer
from app.indexing.passages import IngestSettings
from app.models.port import Stamp
from app.search.engines import open_writer, search_engine
from app.search.sqlite.schema import embedded_path
from app.settings import Settings
from app.text.chunk import cut_into_passages
from app.text.document import ChunkLimits, CutDocument, ParsedDocument
from tests.contract.catalog_promises import accept
from tests.services.migrated import migrated
from tests.unit.app.catalog.test_index_outbox import finish

SHAPE = IngestSettings(passage_tokens=40, overlap_tokens=0, attempts=2, concurrency=1)


class Service:
    """A catalog and an index as a worker leaves them."""

    def __init__(self, folder: Path, **changes: object) -> None:
        values = {"state_dir": folder / "data", "backup_dir": folder / "backups", "backup_key": folder / "keys" / "backup.key",
                  "embedding": "none", "backup_keep": 2, **changes}  # fmt: skip
        self.settings = Settings.model_validate(values)
        (folder / "data").mkdir(parents=True)
        migrated(self.settings.sqlalchemy_url())
        self.catalog = Catalog(self.settings.sqlalchemy_url())
        self.writer = open_writer(self.settings)
        self.writer.ensure(Stamp("none", "none", 0))
        self.source = own_source(self.settings)
        with self.catalog.write() as session:
            index_outbox.register_index(session, "teal", serving=True)

    def add(self, text: str) -> str:
        """Accepted, indexed, findable."""
        document = accept(self.catalog, text).id
        finish(self.catalog, document)
        with self.catalog.write() as session:
            index_outbox.add_entries(session, "teal", [document])
        self.follow("teal")
        return document

    def follow(self, index: str) -> None:
        """As the worker takes over what its index is owed."""
        writer = open_writer(self.settings.model_copy(update={"index": index}))

        def read(
            body: bytes, media_type: str, filename: str | None, cutting: ChunkLimits, wanted: object = None, /
        ) -> CutDocument:
            return cut_into_passages(ParsedDocument(None, body.decode()), cutting)

        OutboxConsumer(self.catalog, writer, index, read, lambda: None, SHAPE).drain(20)
        writer.close()

    def restore_search(self, found: Manifest) -> int:
        """As `teal restore --only search` does, without processes; how many documents were taken over from the catalog."""
        other = self.settings.model_copy(update={"index": "teal-b1"})
        begin_search(self.settings, other, found, self.source)
        admin_index.seed(self.catalog, "teal-b1")
        with self.catalog.read() as session:
            owed = index_outbox.entries_left(session, "teal-b1")
        self.follow("teal-b1")
        search_engine(self.settings).swap(self.settings, other)
        with self.catalog.write() as session:
            index_outbox.hand_over(session, "teal-b1", "teal")
        self.follow("teal")
        return owed

    def restore_catalog(self, found: Manifest) -> int:
        """As `teal restore --only database` does; how many steps it said."""
        return len(list(put_catalog_in_place(self.settings, found, self.source)))

    def close(self) -> None:
        self.writer.close()
        self.catalog.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.close()


def test_a_copy_without_room_says_so(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise apsw.FullError("not an error")  # as SQLite's backup says it

    service.add("a sentence")
    monkeypatch.setattr(sqlite_copy, "copy_by_apsw", full)
    with pytest.raises(BackupFailed, match="no room"):
        snapshot.take_snapshot(service.settings)


def test_nothing_of_a_snapshot_can_be_read_by_others_or_without_its_key(service: Service) -> None:
    service.add("the secret word is xylophone")
    made = snapshot.take_snapshot(service.settings)
    files = [path for path in service.settings.backup_dir.rglob("*") if path.is_file()]
    assert all(
        stat.S_IMODE(path.stat().st_mode) == 0o600 for path in (*files, service.settings.backup_key) if path.name != "lock"
    )
    assert stat.S_IMODE((service.settings.backup_dir / made.id).stat().st_mode) == 0o700
    assert not [path for path in files if b"xylophone" in path.read_bytes()]
    service.settings.backup_key.rename(service.settings.backup_key.with_name("away"))
    with pytest.raises(BackupFailed, match="is not there"):
        check.verify_snapshot(service.settings, made, service.source)
    other = Service(service.settings.state_dir.parent / "other")
    other.add("x")
    snapshot.take_snapshot(other.settings)  # makes a key
    with pytest.raises(SnapshotRefused, match="is not sealed with the key"):
        check.verify_snapshot(service.settings, made, SnapshotSource(open_store(service.settings), other.settings.backup_key))
    other.close()


@pytest.mark.parametrize("part", ["search.db.age", "catalog.db.age"])
@pytest.mark.parametrize(("harm", "words"), [("cut", "bytes long"), ("change", "checksum"), ("remove", "is gone")])
def test_a_harmed_copy_is_refused_and_what_runs_is_untouched(service: Service, part: str, harm: str, words: str) -> None:
    document = service.add("a sentence")
    made = snapshot.take_snapshot(service.settings)
    path = service.settings.backup_dir / made.id / part
    content = bytearray(path.read_bytes())
    if harm == "remove":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(content[:-10])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with pytest.raises(SnapshotRefused, match=words):
        check.verify_snapshot(service.settings, made, service.source)
    before = embedded_path(service.settings).read_bytes()
    with pytest.raises(SnapshotRefused, match=words):
        (service.restore_search if part.startswith("search") else service.restore_catalog)(made)
    assert embedded_path(service.settings).read_bytes() == before
    assert service.writer.tally([document]) == {document: 1}


def test_an_empty_snapshot_is_refused_when_it_is_taken_and_when_it_is_tested(service: Service) -> None:
    service.add("a sentence")
    made = snapshot.take_snapshot(service.settings)
    service.writer.delete_document(next(iter(service.writer.document_ids(after=None, limit=1))))
    with pytest.raises(BackupFailed, match="search index is empty and the catalog has 1"):
        snapshot.take_snapshot(service.settings)
    assert open_store(service.settings).snapshots() == [made]
    lying = with_seal(
        made.model_copy(update={"search": made.search.model_copy(update={"passages": 7})}), service.settings.backup_key
    )
    with pytest.raises(SnapshotRefused, match="should hold 7 passages and holds 1"):
        check.verify_snapshot(service.settings, lying, service.source)
    with service.catalog.read() as session:
        assert snapshot_checks.last_passed(session) == {}


def test_a_document_that_was_indexed_before_the_snapshot_and_is_not_in_it_fails_its_test(service: Service) -> None:
    lost = service.add("lost")
    service.add("kept")
    service.writer.delete_document(lost)
    made = snapshot.take_snapshot(service.settings)
    with pytest.raises(SnapshotRefused, match=rf"lacks 1 of 2 documents.*{lost}"):
        check.verify_snapshot(service.settings, made, service.source)


def test_a_catalog_goes_back_and_keys_do_not(service: Service) -> None:
    kept = service.add("kept")
    with service.catalog.write() as session:
        revoked, _ = keys.create_key(session, name="r", role="reader", collections=None, expires_at=None)
    made = snapshot.take_snapshot(service.settings)
    later = service.add("later")
    with service.catalog.write() as session:
        documents.delete(session, kept, None)
        keys.revoke(session, revoked.id)
        new, text = keys.create_key(session, name="n", role="reader", collections=None, expires_at=None)
        before = index_state.index_generation(session)
    list(put_catalog_in_place(service.settings, made, service.source))
    with service.catalog.read() as session:
        assert documents.get(session, kept, None).status == "indexed"
        with pytest.raises(NotFound):
            documents.get(session, later, None)
        assert {info.id: info.revoked_at is not None for info in keys.list_keys(session)} == {revoked.id: True, new.id: False}
        assert keys.verify_key(session, text).key_id == new.id
        assert index_state.index_generation(session) > before
    kept_file = service.settings.state_dir / "catalog-kept.db"
    assert Catalog(f"sqlite:///{kept_file}").engine.connect().exec_driver_sql("SELECT count(*) FROM documents").scalar() == 2


def test_search_goes_back_under_open_readers_and_ends_as_the_catalog_says(service: Service) -> None:
    first, deleted = service.add("first sentence"), service.add("deleted sentence")
    made = snapshot.take_snapshot(service.settings)
    second = service.add("second sentence")
    with service.catalog.write() as session:
        documents.delete(session, deleted, None)
    for one in (first, second):
        service.writer.delete_document(one)  # search lost them
    assert service.restore_search(made) == 2  # the second and the deleted one: nothing that the copy has is embedded again
    assert service.writer.tally([first, second, deleted]) == {first: 1, second: 1}  # seen by a connection from before
    assert (service.settings.state_dir / "search-teal-kept.db").is_file()
    with service.catalog.read() as session:
        assert [one.name for one in index_outbox.registered_indexes(session)] == ["teal"]


def test_a_snapshot_of_another_engine_or_without_a_catalog_is_refused_in_words(service: Service) -> None:
    service.add("x")
    made = snapshot.take_snapshot(service.settings)
    foreign = made.model_copy(update={"search": made.search.model_copy(update={"kind": "elasticsearch"})})
    with pytest.raises(SnapshotRefused, match=r"search engine elasticsearch.*teal rebuild"):
        begin_search(service.settings, service.settings.model_copy(update={"index": "teal-b1"}), foreign, service.source)
    external = made.model_copy(update={"catalog": made.catalog.model_copy(update={"kind": "external", "copy_of": None})})
    with pytest.raises(SnapshotRefused, match="no copy of the catalog"):
        list(put_catalog_in_place(service.settings, external, service.source))


def test_an_empty_snapshot_replaces_documents_only_when_it_is_named(service: Service) -> None:
    empty = snapshot.take_snapshot(service.settings)
    refuse_nothing_for_something(service.settings, empty, named=False)  # for nothing
    service.add("x")
    with pytest.raises(SnapshotRefused, match=r"has no documents and the catalog in use has 1.*--snapshot"):
        refuse_nothing_for_something(service.settings, empty, named=False)
    refuse_nothing_for_something(service.settings, empty, named=True)


def test_a_time_chooses_the_newest_snapshot_of_before_it(service: Service) -> None:
    service.add("x")
    first, second = snapshot.take_snapshot(service.settings), snapshot.take_snapshot(service.settings)
    assert choose_snapshot(open_store(service.settings), id=None, at=None) == second
    assert choose_snapshot(open_store(service.settings), id=None, at=first.finished_at) == first
    with pytest.raises(NotFound, match="no snapshot from before"):
        choose_snapshot(open_store(service.settings), id=None, at=first.finished_at - timedelta(seconds=1))
    with pytest.raises(NotFound, match=second.id):
        choose_snapshot(open_store(service.settings), id="s1", at=None)
    check.require_recent(second, 1.0)
    with pytest.raises(SnapshotRefused, match=r"2.0 h old"):
        check.require_recent(second.model_copy(update={"finished_at": datetime.now(UTC) - timedelta(hours=2)}), 1.0)


def test_two_snapshots_at_once_are_one(service: Service) -> None:
    service.add("x")
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with open_store(service.settings).alone():
            held.set()
            release.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    with pytest.raises(BackupFailed, match="Another process takes a snapshot"):
        snapshot.take_snapshot(service.settings)
    release.set()
    thread.join()
    assert open_store(service.settings).snapshots() == []


def test_a_manifest_that_is_none_is_said_and_hides_no_other(service: Service) -> None:
    service.add("x")
    made = snapshot.take_snapshot(service.settings)
    broken = service.settings.backup_dir / "s20200101-000000-0000"
    broken.mkdir()
    (broken / manifest.MANIFEST).write_text(json.dumps({"format": 9}))
    os.utime(broken, (0, 0))
    assert open_store(service.settings).snapshots() == [made]
    with pytest.raises(SnapshotRefused, match="no manifest of this version"):
        choose_snapshot(open_store(service.settings), id=broken.name, at=None)


def test_a_lost_key_is_not_replaced_while_snapshots_need_it(service: Service) -> None:
    """A new key would leave them behind without a word; what was taken before is still opened by the copy of the old one."""
    service.add("a sentence")
    first, key = snapshot.take_snapshot(service.settings), service.settings.backup_key
    kept = key.read_bytes()
    key.unlink()
    with pytest.raises(BackupFailed, match="1 snapshots can be opened with it alone"):
        snapshot.take_snapshot(service.settings)
    assert not key.exists()
    assert [one.id for one in open_store(service.settings).snapshots()] == [first.id]
    key.write_bytes(kept)
    snapshot.take_snapshot(service.settings)


def test_a_key_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "keys" / "backup.key"

    def no_room(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", no_room)
        with pytest.raises(OSError, match="No space"):
            encryption.snapshot_key(key, create=True)
    assert list(key.parent.iterdir()) == [], "half a key would stop every later snapshot"
    made = encryption.snapshot_key(key, create=True)
    assert (str(encryption.snapshot_key(key, create=True)), key.stat().st_mode & 0o777) == (str(made), 0o600)
    assert [each.name for each in key.parent.iterdir()] == ["backup.key"]


def test_an_index_that_nobody_made_never_takes_the_place_of_the_one_that_serves(service: Service) -> None:
    """A command that is killed early leaves an empty file; swapped in, it would leave every search without an index."""
    service.add("zqkeptx")
    other = service.settings.model_copy(update={"index": "teal-b1"})
    open_writer(other).close()
    with pytest.raises(InvalidRequest, match="index build --name teal-b1"):
        search_engine(service.settings).swap(service.settings, other)
    assert open_writer(service.settings).count() == 1
