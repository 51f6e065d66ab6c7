"""A snapshot is tested by reading its documents again, in the processes that read documents."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY

from app.backup import check, snapshot
from app.backup.adapters import open_store
from app.backup.schedule import AGE, VERIFY_AGAIN, BackupSchedule, next_to_verify
from app.catalog import documents, snapshot_checks
from app.commands import backup as admin_backup
from app.errors import SnapshotRefused
from tests.unit.app.backup import test_backup
from tests.unit.app.backup.test_backup import Service

service = test_backup.service


def test_a_snapshot_says_what_it_holds_and_passes_its_test(service: Service) -> None:
    for number in range(12):
        service.add(f"document number {number} about tides and word{number}")
    made = snapshot.take_snapshot(service.settings)
    assert (made.catalog.documents, made.search.passages) == (12, 12)
    assert open_store(service.settings).snapshots() == [made]
    done = check.verify_snapshot(service.settings, made, service.source)
    assert (done.documents, done.sampled, done.found) == (12, 12, 12)
    with service.catalog.read() as session:
        assert list(snapshot_checks.last_passed(session)) == [made.id]
    left = [path.name for path in service.settings.state_dir.glob("search*")] + [
        path.name for path in service.settings.backup_dir.glob("checking*")
    ]
    assert [name for name in left if not name.startswith("search.db")] == []


def test_snapshots_are_listed_and_tested_without_a_catalog(service: Service) -> None:
    service.add("a sentence about tides")
    made = snapshot.take_snapshot(service.settings)
    options = argparse.Namespace(snapshot=None, max_age_hours=None, source=None, key=None)
    lost = service.settings.model_copy(update={"state_dir": service.settings.state_dir.parent / "lost"})
    lost.state_dir.mkdir()
    [row] = admin_backup.snapshots(lost, options)
    assert (row["id"], row["verified_at"], row["verified_known"]) == (made.id, None, False)
    [tested] = admin_backup.verify(lost, options)
    assert (tested["documents"], tested["noted"]) == (1, False)
    assert admin_backup.LOST in tested["detail"]
    [row] = admin_backup.snapshots(service.settings, options)
    assert row["verified_known"]


def test_old_snapshots_go_but_never_the_newest_that_was_verified(service: Service) -> None:
    service.add("x")
    made = []
    for number in range(5):
        made.append(snapshot.take_snapshot(service.settings))
        if number == 1:
            check.verify_snapshot(service.settings, made[1], service.source)
    assert {one.id for one in open_store(service.settings).snapshots()} == {made[4].id, made[3].id, made[1].id}


def test_what_an_empty_stack_keeps_neither_ages_the_last_good_one_out_nor_holds_the_first_real_one_up(service: Service) -> None:
    schedule = BackupSchedule(service.settings, service.catalog)
    schedule.keep_up()
    (empty,) = open_store(service.settings).snapshots()
    schedule.keep_up()
    assert open_store(service.settings).snapshots() == [empty]  # nothing came, and a day is not over
    kept = service.add("x")
    schedule.keep_up()
    good = open_store(service.settings).snapshots()[0]
    assert good.catalog.documents == 1
    service.writer.delete_document(kept)
    with service.catalog.write() as session:
        documents.delete(session, kept, None)
    for _ in range(3):
        snapshot.take_snapshot(service.settings)
    assert good.id in {one.id for one in open_store(service.settings).snapshots()}


def test_a_snapshot_from_the_future_neither_stops_the_next_nor_quiets_the_alert_nor_ages_one_out(service: Service) -> None:
    service.add("x")
    wrong = snapshot.take_snapshot(service.settings)
    store = open_store(service.settings)
    ahead = wrong.model_copy(update={"finished_at": datetime.now(UTC) + timedelta(days=400)})
    store.keep(ahead)
    BackupSchedule(service.settings, service.catalog).keep_up()
    [kept, taken] = store.snapshots()
    assert kept == ahead
    assert next(iter(AGE.collect())).samples[0].value >= 0
    assert taken.finished_at <= datetime.now(UTC)
    for _ in range(service.settings.backup_keep + 1):
        snapshot.take_snapshot(service.settings)
    assert len(store.snapshots()) == service.settings.backup_keep + 2  # the one from the future, and the one that was verified
    [row, *_] = admin_backup.snapshots(service.settings, argparse.Namespace())
    assert (row["id"], row["from_the_future"]) == (ahead.id, True)


def _fail(*_: object) -> None:
    raise SnapshotRefused("the disk is full")


def test_the_age_of_the_newest_snapshot_is_not_there_while_none_is_known(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> float | None:
        return REGISTRY.get_sample_value("teal_snapshot_age_seconds")

    monkeypatch.setattr(AGE, "finished_at", None)
    on_aws = service.settings.model_copy(update={"backup_hours": 0})
    BackupSchedule(on_aws, service.catalog)._look()
    assert shown() is None  # Elasticsearch's exporter says it there, and 0 here would hide that nobody takes any
    BackupSchedule(service.settings, service.catalog).keep_up()
    first = shown()
    assert first is not None
    assert 0 <= first < 600
    assert (shown() or 0) > first  # of the moment that asks
    service.add("x")  # the first document makes the next one due
    monkeypatch.setattr(AGE, "finished_at", None)  # as in a worker that has just started
    monkeypatch.setattr(snapshot, "take_snapshot", _fail)
    with pytest.raises(SnapshotRefused):
        BackupSchedule(service.settings, service.catalog).keep_up()
    assert shown() is not None


def test_a_snapshot_of_before_seals_leaves_the_next_one_due_and_is_kept(service: Service) -> None:
    service.add("x")
    store = open_store(service.settings)
    store.keep(old := snapshot.take_snapshot(service.settings).model_copy(update={"seal": ""}))
    schedule = BackupSchedule(service.settings, service.catalog)
    schedule.keep_up()
    assert store.snapshots()[1:] == [old]
    schedule.keep_up()
    assert len(store.snapshots()) == 2  # the new one is sealed, so that no further one is due


def test_older_snapshots_are_tested_too_and_again_after_a_week(service: Service) -> None:
    service.add("x")
    old, new = snapshot.take_snapshot(service.settings), snapshot.take_snapshot(service.settings)
    known, now = [new, old], datetime.now(UTC)
    assert next_to_verify(known, {}, now) == new
    assert next_to_verify(known, {new.id: now}, now) == old
    assert next_to_verify(known, {new.id: now, old.id: now}, now) is None
    assert next_to_verify(known, {new.id: now, old.id: now - VERIFY_AGAIN - timedelta(1)}, now) == old
    BackupSchedule(service.settings, service.catalog).keep_up()
    BackupSchedule(service.settings, service.catalog).keep_up()
    with service.catalog.read() as session:
        assert set(snapshot_checks.last_passed(session)) == {old.id, new.id}


def test_one_bad_snapshot_does_not_keep_the_others_from_their_test(service: Service) -> None:
    service.add("x")
    old, new = snapshot.take_snapshot(service.settings), snapshot.take_snapshot(service.settings)
    assert new.search.copy_of is not None
    (service.settings.backup_dir / new.id / new.search.copy_of.file).write_bytes(b"harmed")
    schedule = BackupSchedule(service.settings, service.catalog)
    with pytest.raises(SnapshotRefused):
        schedule.keep_up()
    schedule.keep_up()
    with service.catalog.read() as session:
        assert set(snapshot_checks.last_passed(session)) == {old.id}
