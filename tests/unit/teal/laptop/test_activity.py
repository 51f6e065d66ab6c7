"""What each part last did decides whether it is healthy, not that its process exists."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from teal.laptop.parts import caddy, catalog, snapshots, worker

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


def test_a_certificate_that_clients_refuse_is_a_fault() -> None:
    refused = caddy.certificate_row(None, "refused by every client: certificate has expired", 0.0)
    assert (refused.ok, "expired" in refused.detail, "teal up" in refused.mend) == (False, True, True)
    assert caddy.certificate_row(7200.0, None, 0.0).detail == "valid for 2.0 h more"
