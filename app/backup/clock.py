"""Handles snapshots whose time stamp lies in the future, because a clock was wrong when they were taken.

Such a snapshot would stay the newest for as long as the clock was wrong: no new one would be due, an
older state would be restored by default, and its negative age would silence the alert. So it is kept and
logged, but ignored until its moment has come.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from app.backup.manifest import Manifest

TOLERATED: Final = timedelta(minutes=5)  # difference between two machines' clocks; with NTP it is milliseconds


def is_ahead(found: Manifest, now: datetime | None = None) -> bool:
    """Whether the snapshot's end lies in the future."""
    return found.finished_at > (now or datetime.now(UTC)) + TOLERATED


def credible(known: Iterable[Manifest], now: datetime | None = None) -> list[Manifest]:
    """The snapshots whose end does not lie in the future, in the given order."""
    return [one for one in known if not is_ahead(one, now)]
