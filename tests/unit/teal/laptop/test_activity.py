"""What each part last did decides whether it is healthy, not that its process exists."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from teal.laptop.layout import Layout, create_folders
from teal.laptop.parts import caddy, catalog, snapshots, worker
from teal.laptop.parts.part import PartContext
from teal.laptop.state import UpOptions, choose_state

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("last", "started", "good", "said"),
    [
        (990.0, 0.0, True, "last round 10 s ago"),
        (980.0, 0.0, False, "stuck"),
        (1500.0, 0.0, True, "last round 0 s ago"),  # the clock was set back
        (0.0, 990.0, True, "waits for its first round"),
        (0.0, 900.0, False, "waits for its first round"),
    ],
)
def test_a_worker_is_judged_by_its_last_round(last: float, started: float, good: bool, said: str) -> None:
    found = worker.heartbeat(f"{worker.HEARTBEAT} {last}\n{worker.STARTED} {started}\n", 1000.0)
    assert found[0] is good
    assert said in found[1]


@pytest.mark.parametrize(
    ("line", "good"),
    [
        ({"ok": True, "seconds": 0.01}, True),
        ({"ok": True, "seconds": 4.0}, False),
        ({"ok": False, "detail": "database is locked"}, False),
        ({}, False),
    ],
)
def test_a_catalog_that_takes_no_write_is_a_fault(line: dict[str, Any], good: bool) -> None:
    assert catalog.write_row(line).ok is good


@pytest.mark.parametrize(
    ("found", "good"),
    [
        ({}, []),
        ({"processing": {"document": "d", "age_seconds": 5.0}}, [True]),
        ({"processing": {"document": "d", "age_seconds": 901.0}}, [False]),
        ({"queued": {"document": "d", "age_seconds": 61.0}}, [False]),
        ({"queued": {"document": "d", "age_seconds": 61.0}, "processing": {"document": "e", "age_seconds": 1.0}}, [True, True]),
        ({"owed": [{"index": "teal-2", "documents": 7}]}, [True]),
    ],
)
def test_what_waits_and_what_is_in_work_is_told_with_its_age(found: dict[str, Any], good: list[bool]) -> None:
    assert [row.ok for row in catalog.work_rows(found)] == good


def test_documents_that_an_index_is_owed_are_named() -> None:
    (row,) = catalog.work_rows({"owed": [{"index": "teal-2", "documents": 7}]})
    assert "teal-2 is owed 7 documents" in row.detail


@pytest.mark.parametrize(
    ("hours", "good"), [((3.0,), True), ((51.0,), False), ((-2.0, 51.0), False), ((-2.0,), True), ((), True)]
)
def test_the_newest_snapshot_of_the_past_counts(tmp_path: Path, hours: tuple[float, ...], good: bool) -> None:
    for number, age in enumerate(hours):
        (tmp_path / f"s{number}").mkdir()
        made = {"finished_at": (NOW - timedelta(hours=age)).isoformat()}
        (tmp_path / f"s{number}" / snapshots.MANIFEST).write_text(json.dumps(made))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / snapshots.MANIFEST).write_text("{")
    assert snapshots.age_row(tmp_path, NOW).ok is good


def _snapshot(folder: Path, name: str, hours: float, files: dict[str, int]) -> None:
    """A snapshot of that age whose manifest names one copy of 100 bytes for each part; `files`: what is there, with its bytes."""
    (folder / name).mkdir()
    parts = {part: {"copy_of": {"file": f"{part}.db.age", "bytes": 100}} for part in ("catalog", "search")}
    made = {"finished_at": (NOW - timedelta(hours=hours)).isoformat(), **parts}
    (folder / name / snapshots.MANIFEST).write_text(json.dumps(made))
    for file, size in files.items():
        (folder / name / file).write_bytes(bytes(size))


WHOLE = {"catalog.db.age": 100, "search.db.age": 100}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"catalog.db.age": 100}, "search.db.age is gone"),
        ({"catalog.db.age": 0, "search.db.age": 100}, "catalog.db.age has 0 of 100 bytes"),
        ({"catalog.db.age": 99, "search.db.age": 100}, "catalog.db.age has 99 of 100 bytes"),
    ],
)
def test_a_snapshot_that_lacks_a_copy_is_not_the_newest(tmp_path: Path, files: dict[str, int], said: str) -> None:
    _snapshot(tmp_path, "s2", 1.0, files)
    row = snapshots.age_row(tmp_path, NOW)
    assert (row.ok, said in row.detail) == (False, True)
    _snapshot(tmp_path, "s1", 5.0, WHOLE)
    row = snapshots.age_row(tmp_path, NOW)
    assert not row.ok
    assert "the newest is 5.0 h old" in row.detail
    assert said in row.detail
    _snapshot(tmp_path, "s3", 0.5, WHOLE)
    row = snapshots.age_row(tmp_path, NOW)
    assert row.ok, "an old one that decayed is named, and what can be restored is newer"
    assert said in row.detail


def test_what_counts_as_no_snapshot_is_named(tmp_path: Path) -> None:
    _snapshot(tmp_path, "s9", -24.0, WHOLE)
    assert "s9 is from the future" in snapshots.age_row(tmp_path, NOW).detail
    (tmp_path / "s9" / snapshots.MANIFEST).write_text("[]")
    assert "s9 cannot be read" in snapshots.age_row(tmp_path, NOW).detail


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00" * 20, b"# public key: age1x\n", b"AGE-SECRET-KEY-"])
def test_snapshots_without_the_key_that_opens_them_are_a_fault(tmp_path: Path, content: bytes | None) -> None:
    home = Layout(tmp_path / ".teal")
    create_folders(home)
    place = PartContext(home, choose_state(None, UpOptions(port=9443)), {})
    assert snapshots.SnapshotsPart().status(place, ())[0].ok, "no snapshot was taken yet, so there is no key"
    _snapshot(home.backups, "s1", 1.0, WHOLE)
    if content is not None:
        home.backup_key.write_bytes(content)
    (row,) = snapshots.SnapshotsPart().status(place, ())
    assert (row.ok, "backup.key" in row.detail, "copy" in row.mend) == (False, True, True)
    home.backup_key.write_text("# public key: age1x\nAGE-SECRET-KEY-1ABC\n")
    assert snapshots.key_problem(home.backup_key) is None


@pytest.mark.parametrize("jumped_seconds", [0, -86_400, -500, 500, 365 * 86_400])
@pytest.mark.parametrize(("age", "good"), [(2.0, True), (14.0, True), (16.0, False), (90.0, False)])
def test_no_jump_of_the_clock_makes_a_worker_look_fresh_or_stuck(jumped_seconds: float, age: float, good: bool) -> None:
    said = f"{worker.HEARTBEAT} 1000000\n{worker.STARTED} 900000\n{worker.AGE} {age}\n"
    found, words = worker.heartbeat(said, 1_000_000.0 + age + jumped_seconds)
    assert (found, f"{age:.0f} s ago" in words) == (good, True)


def test_a_certificate_that_clients_refuse_is_a_fault() -> None:
    refused = caddy.certificate_row(None, "refused by every client: certificate has expired", 0.0)
    assert (refused.ok, "expired" in refused.detail, "teal up" in refused.mend) == (False, True, True)
    assert caddy.certificate_row(7200.0, None, 0.0).detail == "valid for 2.0 h more"
