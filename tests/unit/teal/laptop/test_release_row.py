"""What `teal status` says of the release: nothing is called good that no one looks after."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from teal.clock import SystemClock
from teal.laptop.status import release_row
from teal.ports.traffic import Weights, all_to
from teal.record.model import ColorState, Lease, Record, ReleaseUnderway

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STATE = ColorState(release_id="r1", image="i", index="teal", schema_min="0001", schema_max="0001", replica_floor=2)


class Stopped(SystemClock):
    def now(self) -> datetime:
        return NOW


def record(phase: Any = None, lease_seconds: float | None = None) -> Record:
    release = ReleaseUnderway(id="r2", target="green", step="analyse-25", phase=phase, started_at=NOW) if phase else None
    until = None if lease_seconds is None else NOW + timedelta(seconds=lease_seconds)
    lease = Lease(holder="h", token="t", expires_at=until) if until else None
    return Record(active="blue", blue=STATE, release=release, lease=lease)


@pytest.mark.parametrize("phase", ["Progressing", "Paused", "RollingBack", "Degraded"])
@pytest.mark.parametrize("lease_seconds", [None, -1.0])
def test_a_release_whose_releaser_is_gone_is_not_good_and_says_how_to_end_it(phase: str, lease_seconds: float | None) -> None:
    row = release_row(record(phase, lease_seconds), Weights(75, 25), Stopped())
    assert not row.ok
    assert "its releaser is gone; blue has 75 %, green 25 %" in row.detail
    assert "teal rollback" in row.mend


def test_a_release_that_a_living_releaser_makes_is_good() -> None:
    assert release_row(record("Progressing", 20.0), Weights(75, 25), Stopped()).ok


@pytest.mark.parametrize("weights", [Weights(75, 25), all_to("green")])
def test_shares_that_no_release_explains_are_not_good(weights: Weights) -> None:
    row = release_row(record(), weights, Stopped())
    assert (row.ok, row.mend) == (False, "teal repair")


def test_an_active_color_with_all_requests_is_good() -> None:
    assert release_row(record(), all_to("blue"), Stopped()).ok
