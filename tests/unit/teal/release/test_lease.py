"""A releaser that waits for something long is not taken for dead."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from contract.watchdog import is_unheld
from teal.clock import SystemClock
from teal.record.file import FileStore
from teal.record.lease import LeaseHolder, Superseded, is_expired, refuse_held
from teal.record.model import Record, Version

WAIT_SECONDS = 20.0


class Watched(FileStore):
    """Says when somebody looked at the record, and when it was written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.looked, self.written = threading.Event(), threading.Event()

    def read(self) -> tuple[Record, Version]:
        found = super().read()
        self.looked.set()
        return found

    def write(self, record: Record, *, expected: Version) -> Version:
        version = super().write(record, expected=expected)
        self.written.set()
        return version


def take(store: FileStore, *, force: bool = False) -> LeaseHolder:
    return LeaseHolder.take(store, SystemClock(), 0.4, lambda record: record, force=force)


def until_kept(store: Watched) -> Record:
    """Blocks, as a migration does, until the lease was prolonged beside it."""
    first, _ = store.read()
    store.written.clear()
    assert store.written.wait(WAIT_SECONDS)
    found, _ = store.read()
    assert first.lease is not None
    assert found.lease is not None
    assert found.lease.expires_at > first.lease.expires_at
    return found


def test_the_lease_is_kept_while_a_long_command_runs(tmp_path: Path) -> None:
    store = Watched(tmp_path)
    lease = take(store)
    assert lease.during(lambda: until_kept(store)).lease is not None
    assert lease.during(lambda: 7) == 7


def test_what_the_work_raises_is_raised_its_own_time_out_too(tmp_path: Path) -> None:
    def fail() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        take(FileStore(tmp_path)).during(fail)


def test_a_releaser_that_lost_its_lease_meanwhile_stops(tmp_path: Path) -> None:
    store = Watched(tmp_path)
    lease = take(store)

    def seized() -> None:
        take(store, force=True)
        store.looked.clear()
        assert store.looked.wait(WAIT_SECONDS)  # the releaser's next look

    with pytest.raises(Superseded):
        lease.during(seized)


class SetClock(SystemClock):
    """Its wall clock may be set; the monotonic one goes on."""

    def __init__(self) -> None:
        self.off = timedelta()

    def now(self) -> datetime:
        return super().now() + self.off


JUMPS = [timedelta(days=-1), timedelta(hours=-2), timedelta(days=365), timedelta(hours=2)]


@pytest.mark.parametrize("jump", JUMPS)
def test_a_dead_releaser_is_dead_whatever_the_clock_does(tmp_path: Path, jump: timedelta) -> None:
    """Set back a day, its lease would have held record and traffic for that day."""
    store, clock = FileStore(tmp_path), SetClock()
    LeaseHolder.take(store, clock, 120.0, lambda record: record)
    record, _ = store.read()
    assert not is_expired(record.lease, clock)
    clock.off = jump
    assert is_expired(record.lease, clock)
    refuse_held(record, clock)
    left = {
        "release": {"id": "r", "step": "s", "phase": "Progressing", "target": "green"},
        "lease": record.model_dump(mode="json")["lease"],
    }
    assert is_unheld(left, clock.now())


@pytest.mark.parametrize("jump", [timedelta(), *JUMPS])
def test_a_living_releaser_keeps_its_lease_whatever_the_clock_does(tmp_path: Path, jump: timedelta) -> None:
    store, clock = FileStore(tmp_path), SetClock()
    mine = LeaseHolder.take(store, clock, 120.0, lambda record: record)
    clock.off = jump
    kept = mine.keep()
    assert not is_expired(kept.lease, clock)
    assert kept.lease is not None
    assert 60 <= (kept.lease.expires_at - clock.now()).total_seconds() <= 120
