"""A releaser that waits for something long is not taken for dead."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from teal.record import Record
from teal.record_file import FileStore
from teal.release.ledger import Ledger, Superseded
from teal.release.target import SystemClock
from tests.release.ports import RULES

WAIT_SECONDS = 20.0


def take(store: FileStore, *, force: bool = False) -> Ledger:
    return Ledger.take(store, SystemClock(), replace(RULES, lease_seconds=0.4), lambda record: record, force=force)


def until_kept(store: FileStore) -> Record:
    """Blocks, as a migration does, until the lease was prolonged beside it."""
    first, _ = store.read()
    assert first.lease is not None
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found, _ = store.read()
        if found.lease is not None and found.lease.expires_at > first.lease.expires_at:
            return found
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_lease_is_kept_while_a_long_command_runs(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    ledger = take(store)
    assert ledger.during(lambda: until_kept(store)).lease is not None
    assert ledger.during(lambda: 7) == 7


def test_what_the_work_raises_is_raised_its_own_time_out_too(tmp_path: Path) -> None:
    def fail() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        take(FileStore(tmp_path)).during(fail)


def test_a_releaser_that_lost_its_lease_meanwhile_stops(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    ledger = take(store)

    def seized() -> None:
        take(store, force=True)
        time.sleep(0.3)  # longer than a quarter of the lease: the next look is made

    with pytest.raises(Superseded):
        ledger.during(seized)
