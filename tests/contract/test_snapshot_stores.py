"""Every store of snapshots keeps the same promises: whole or not there, newest first, gone when removed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from app.backup.adapters import choose_snapshot, open_store
from app.backup.manifest import MANIFEST, CatalogCopy, EncryptedFile, Manifest, SearchCopy
from app.backup.port import SnapshotStore
from app.backup.stores.folder import FolderStore
from app.errors import BackupFailed, NotFound, SnapshotRefused
from app.settings import Settings

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SnapshotStore]:
    settings = Settings(backup_store=request.param, backup_bucket="copies", backup_dir=tmp_path, aws_region="eu-central-1")
    for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        bucket = {"LocationConstraint": "eu-central-1"}
        boto3.client("s3", region_name="eu-central-1").create_bucket(Bucket="copies", CreateBucketConfiguration=bucket)  # type: ignore[arg-type]
        yield open_store(settings)


def keep(store: SnapshotStore, id: str, *, hours: int = 0) -> Manifest:
    moment = MOMENT + timedelta(hours=hours)
    (store.prepare(id) / "search.db.age").write_bytes(b"encrypted " + id.encode())
    search = SearchCopy(
        kind="embedded", index="teal", passages=1, copy_of=EncryptedFile(file="search.db.age", sha256="0", bytes=1)
    )
    catalog = CatalogCopy(kind="sqlite", revision="0003", documents=1)
    made = Manifest(id=id, started_at=moment, finished_at=moment, search=search, catalog=catalog)
    store.keep(made)
    return made


def test_a_snapshot_is_there_from_its_manifest_on(store: SnapshotStore) -> None:
    (store.prepare("s1-a") / "search.db.age").write_bytes(b"half")
    assert store.snapshots() == []
    made = keep(store, "s2-b")
    assert store.snapshots() == [made]
    assert store.find("s2-b") == made
    assert store.fetch("s2-b", "search.db.age").read_bytes() == b"encrypted s2-b"


def test_the_newest_is_first_and_is_chosen(store: SnapshotStore) -> None:
    old, new = keep(store, "s1-a"), keep(store, "s2-b", hours=2)
    assert store.snapshots() == [new, old]
    assert choose_snapshot(store, id=None, at=None) == new
    assert choose_snapshot(store, id=None, at=MOMENT + timedelta(hours=1)) == old
    assert choose_snapshot(store, id="s1-a", at=None) == old


def test_a_snapshot_that_is_not_there_is_named_with_those_that_are(store: SnapshotStore) -> None:
    keep(store, "s1-a")
    with pytest.raises(NotFound, match="s9-z") as raised:
        store.find("s9-z")
    assert "s1-a" in raised.value.detail


def test_a_removed_snapshot_and_its_copies_are_gone(store: SnapshotStore) -> None:
    keep(store, "s1-a")
    store.remove("s1-a")
    store.remove("s1-a")
    assert store.snapshots() == []
    with pytest.raises(SnapshotRefused):
        store.fetch("s1-a", "search.db.age")


def test_what_was_cut_off_is_named_once_it_is_old(store: SnapshotStore) -> None:
    store.prepare("s1-a")
    keep(store, "s2-b")
    assert store.cut_off(datetime.now(UTC) - timedelta(hours=1)) == []
    assert store.cut_off(datetime.now(UTC) + timedelta(hours=1)) == ["s1-a"]


def test_one_process_at_a_time_takes_a_snapshot(store: SnapshotStore) -> None:
    with store.alone(), pytest.raises(BackupFailed, match="Another process"), store.alone():
        pass


def test_a_manifest_that_this_version_cannot_read_is_named_and_nothing_of_it_is_removed(store: SnapshotStore) -> None:
    made = keep(store, "s1-a")
    newer = keep(store, "s2-newer")
    foreign = newer.model_dump_json().replace('"release_id"', '"compression":"zstd","release_id"')
    replace_manifest(store, "s2-newer", foreign)
    assert store.snapshots() == [made]
    [found] = store.kept().unreadable
    assert found.id == "s2-newer"
    assert "no manifest of this version" in found.why
    assert store.cut_off(datetime.now(UTC) + timedelta(hours=1)) == []
    assert store.fetch("s2-newer", "search.db.age").read_bytes() == b"encrypted s2-newer"


def test_a_snapshot_from_the_future_is_chosen_only_by_its_name(store: SnapshotStore) -> None:
    made = keep(store, "s1-a")
    years = 24 * 365 * 30
    ahead = keep(store, "s2-b", hours=years)
    assert choose_snapshot(store, id=None, at=None) == made
    assert choose_snapshot(store, id=None, at=MOMENT + timedelta(hours=2 * years)) == made
    assert choose_snapshot(store, id="s2-b", at=None) == ahead


def replace_manifest(store: SnapshotStore, id: str, text: str) -> None:
    """What another version has written in the place of this one's."""
    if isinstance(store, FolderStore):
        (store.home / id / MANIFEST).write_text(text, encoding="utf-8")
    else:
        boto3.client("s3", region_name="eu-central-1").put_object(Bucket="copies", Key=f"{id}/{MANIFEST}", Body=text.encode())
