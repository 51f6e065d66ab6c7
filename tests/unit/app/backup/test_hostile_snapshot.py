"""Snapshots that somebody else wrote into the folder: nothing of them is put back, nothing outside of it is read, written or removed."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pyrage
import pytest

from app.backup import check, encryption, manifest, restore, snapshot
from app.backup.adapters import open_store
from app.backup.encryption import with_seal
from app.backup.manifest import MANIFEST, MOST_BYTES, Manifest, SearchCopy
from app.backup.port import SearchCopies, SnapshotSource
from app.backup.restore import begin_search, put_catalog_in_place
from app.catalog import keys, sqlite_copy
from app.errors import SnapshotRefused
from app.search.sqlite.schema import embedded_path, open_index_file
from app.settings import Settings
from tests.unit.app.backup.test_backup import Service

ID = "s20260101-000000-abcd"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    made.add("a sentence")
    yield made
    made.close()


@pytest.fixture
def made(service: Service) -> Manifest:
    return snapshot.take_snapshot(service.settings)


def planted(service: Service, made: Manifest, changes: dict[str, Any], *, folder: str = ID) -> Path:
    """A copy of a real snapshot whose manifest says something else."""
    place = service.settings.backup_dir / folder
    place.mkdir()
    for copy in (service.settings.backup_dir / made.id).glob("*.age"):
        (place / copy.name).write_bytes(copy.read_bytes())
    said = {**json.loads(made.model_dump_json()), "id": folder, **changes}
    (place / MANIFEST).write_text(json.dumps(said), encoding="utf-8")
    return place


def all_files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "backups" not in path.parts and not path.name.endswith(("-wal", "-shm"))}


NAMES = ("..", "../x", "/tmp/x", "a/b", "..\\x", ".", "", "a\x00b", "a b", "$(x)", "-x", "a..b", "x" * 201, "a\n")


def test_a_name_that_leads_elsewhere_is_in_no_manifest(made: Manifest) -> None:
    said = json.loads(made.model_dump_json())
    assert manifest.parsed(json.dumps(said).encode(), "m", made.id) == made
    for name in NAMES:
        for changes in (
            {"id": name},
            {"search": {**said["search"], "copy_of": {**said["search"]["copy_of"], "file": name}}},
            {"catalog": {**said["catalog"], "copy_of": {**said["catalog"]["copy_of"], "file": name}}},
            *({"search": {**said["search"], field: name}} for field in ("index", "repository", "snapshot")),
        ):
            with pytest.raises(SnapshotRefused, match="no manifest of this version"):
                manifest.parsed(json.dumps(said | changes).encode(), "m", str(changes.get("id", made.id)))


def test_the_engine_s_own_snapshot_is_chosen_by_a_sealed_manifest_alone(
    service: Service, made: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elasticsearch's repository is not opened with our key; which index of which snapshot is put back is still nobody's to choose but ours."""

    class Asked(Exception):
        """The engine was asked for this index."""

    def ask(_other: Settings, found: Manifest, _source: SnapshotSource) -> None:
        raise Asked(found.search.index)

    monkeypatch.setattr(restore, "search_copies", lambda _: SearchCopies(ask, ask, ask, exact=False))
    part = SearchCopy(kind="elasticsearch", index="teal-000002", passages=1, repository="teal", snapshot=made.id)
    honest = with_seal(made.model_copy(update={"search": part}), service.settings.backup_key)
    settings = service.settings.model_copy(update={"search": "elasticsearch"})
    other = settings.model_copy(update={"index": "teal-b1"})
    with pytest.raises(Asked, match="teal-000002"):
        restore.search_beside(settings, other, honest, service.source)
    for changes in ({"index": "teal-000001"}, {"snapshot": "older"}, {"repository": "theirs"}, {"passages": 0}):
        changed = honest.model_copy(update={"search": part.model_copy(update=changes)})
        with pytest.raises(SnapshotRefused, match="not sealed with the key"):
            restore.search_beside(settings, other, changed, service.source)


def test_sizes_and_counts_that_cannot_be_are_in_no_manifest(made: Manifest) -> None:
    said = json.loads(made.model_dump_json())
    copy = said["search"]["copy_of"]
    for changes in (
        {"search": {**said["search"], "copy_of": {**copy, "bytes": -1}}},
        {"search": {**said["search"], "passages": -1}},
        {"catalog": {**said["catalog"], "documents": -1}},
        {"catalog": {**said["catalog"], "documents": "9" * 5_000}},
    ):
        with pytest.raises(SnapshotRefused, match="no manifest of this version"):
            manifest.parsed(json.dumps(said | changes).encode(), "m", made.id)


def test_a_planted_manifest_with_a_name_that_leads_elsewhere_reads_writes_and_removes_nothing(
    service: Service, made: Manifest, tmp_path: Path
) -> None:
    planted(service, made, {"id": "../data"})
    before = all_files(tmp_path)
    store = open_store(service.settings)
    assert [one.id for one in store.kept().unreadable] == [ID]
    assert store.snapshots() == [made]
    with pytest.raises(SnapshotRefused, match="no manifest of this version"):
        store.find(ID)
    for _ in range(2):  # old ones are removed
        snapshot.take_snapshot(service.settings)
    assert all_files(tmp_path) == before


def test_a_manifest_that_claims_to_be_another_snapshot_is_refused_and_ages_nobody_out(service: Service, made: Manifest) -> None:
    planted(service, made, {"id": made.id})
    with pytest.raises(SnapshotRefused, match="manifest of another snapshot"):
        open_store(service.settings).find(ID)
    for _ in range(3):  # backup_keep is 2: the first is removed by its turn, the planted one by nobody
        last = snapshot.take_snapshot(service.settings)
    assert last in open_store(service.settings).snapshots()
    assert (service.settings.backup_dir / ID / MANIFEST).is_file()


def test_a_manifest_that_is_no_file_of_its_own_is_refused_at_once(service: Service, made: Manifest, tmp_path: Path) -> None:
    place = planted(service, made, {})
    path = place / MANIFEST
    whole = path.read_bytes()
    outside = tmp_path / "outside.json"
    outside.write_bytes(whole)
    store = open_store(service.settings)
    for kind, put in {
        "link": lambda: path.symlink_to(outside),
        "pipe": lambda: os.mkfifo(path),  # reading it would wait for a writer for ever
        "huge": lambda: path.write_bytes(b" " * MOST_BYTES + whole),
        "deep": lambda: path.write_bytes(b"[" * 90_000),
        "not text": lambda: path.write_bytes(bytes(range(256))),
        "folder": path.mkdir,
    }.items():
        path.unlink()
        put()
        assert [one.id for one in store.kept().unreadable] == [ID], kind
        assert store.snapshots() == [made], kind
        with pytest.raises(SnapshotRefused):
            store.find(ID)


def test_a_copy_that_is_a_link_to_another_file_is_not_read(service: Service, made: Manifest, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("somebody else's")
    copy = service.settings.backup_dir / made.id / "search.db.age"
    copy.unlink()
    copy.symlink_to(secret)
    with pytest.raises(SnapshotRefused, match="link to another file"):
        check.verify_snapshot(service.settings, made, service.source)
    assert secret.read_text() == "somebody else's"


def test_who_can_write_into_the_folder_but_has_no_key_restores_nothing(service: Service, made: Manifest) -> None:
    """To encrypt takes the public half of the key alone: a catalog with an administrator's key in it can be made by anybody."""
    recipient = encryption.snapshot_key(service.settings.backup_key, create=False).to_public()
    hostile = service.settings.state_dir.parent / "hostile.db"
    hostile.write_bytes((service.settings.state_dir / "catalog.db").read_bytes())
    place = planted(service, made, {})
    part = place / "catalog.db.age"
    pyrage.encrypt_file(str(hostile), str(part), [recipient])
    said = json.loads((place / MANIFEST).read_text())
    said["catalog"]["copy_of"] |= {"sha256": encryption.sha256(part), "bytes": part.stat().st_size}
    before = embedded_path(service.settings).read_bytes()
    for seal in (said["seal"], "", "0" * 64):
        (place / MANIFEST).write_text(json.dumps(said | {"seal": seal}))
        found = open_store(service.settings).find(ID)
        with pytest.raises(SnapshotRefused, match="not sealed with the key"):
            list(put_catalog_in_place(service.settings, found, service.source))
        with pytest.raises(SnapshotRefused, match="not sealed with the key"):
            begin_search(service.settings, service.settings.model_copy(update={"index": "teal-b1"}), found, service.source)
        with pytest.raises(SnapshotRefused, match="not sealed with the key"):
            check.verify_snapshot(service.settings, found, service.source)
    assert embedded_path(service.settings).read_bytes() == before
    with service.catalog.read() as session:
        assert keys.list_keys(session) == []
    assert not list(service.settings.backup_dir.glob("restoring-*"))


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE TRIGGER t AFTER DELETE ON api_keys BEGIN SELECT 1; END", "trigger"),
        ("CREATE VIEW v AS SELECT 1", "view"),
        ("CREATE VIRTUAL TABLE files USING fts5(a)", "table"),
    ],
)
@pytest.mark.parametrize("library", ["sqlite3", "apsw"])
def test_a_database_that_acts_by_itself_is_refused(
    tmp_path: Path, library: sqlite_copy.Library, statement: str, named: str
) -> None:
    path = tmp_path / "copy.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE api_keys (id TEXT)")
        connection.execute(statement)
    connection.close()
    with pytest.raises(SnapshotRefused, match=f"holds the {named}"):
        sqlite_copy.check(path, library)


def test_a_database_that_calls_for_an_extension_is_not_obeyed(tmp_path: Path) -> None:
    """Search's SQLite takes it in no schema, and the driver has it off but for the moment in which search loads one file of ours."""
    path = tmp_path / "copy.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a, b CHECK (load_extension('/tmp/x')))")
    connection.close()
    with pytest.raises(apsw.CorruptError, match="unsafe use of load_extension"):
        open_index_file(path, write=True)
    with sqlite3.connect(path) as connection, pytest.raises(sqlite3.Error, match=r"load_extension|not authorized"):
        connection.execute("INSERT INTO t VALUES (1, 2)")
    connection.close()
    searching = open_index_file(tmp_path / "search.db", write=True)
    with pytest.raises(apsw.SQLError, match="not authorized"):
        searching.execute("SELECT load_extension('/tmp/x')").fetchall()
    searching.close()


def test_a_seal_holds_for_all_that_a_manifest_says(service: Service, made: Manifest) -> None:
    key = service.settings.backup_key
    assert made.seal == with_seal(made, key).seal != ""
    for changes in ({"id": "s2"}, {"release_id": "x"}, {"finished_at": made.started_at}):
        assert with_seal(made.model_copy(update=changes), key).seal != made.seal, changes
    assert (
        with_seal(made.model_copy(update={"catalog": made.catalog.model_copy(update={"documents": 99})}), key).seal != made.seal
    )
