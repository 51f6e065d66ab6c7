"""The worker's schedule: it takes a snapshot every TEAL_BACKUP_HOURS and verifies it. Of several workers only one does so."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from prometheus_client import REGISTRY, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.backup import check, snapshot
from app.backup.adapters import open_store, own_source
from app.backup.clock import credible, is_ahead
from app.backup.manifest import Manifest
from app.backup.port import StoredSnapshots
from app.catalog import documents, snapshot_checks
from app.catalog.engine import Catalog
from app.errors import SnapshotRefused, TealError
from app.settings import Settings

FIRST_SECONDS: Final = 20.0  # after the worker's start: waiting documents come first
LOOK_SECONDS: Final = 60.0
# The first snapshot waits up to this long for documents in work: a complete snapshot is better than an early one.
SETTLE_SECONDS: Final = 600.0
RETRY_SECONDS: Final = 600.0  # after a failed try
VERIFY_AGAIN: Final = timedelta(days=7)  # about as long as snapshots are kept by default, so each is tested about twice

VERIFIED: Final = Gauge("teal_snapshot_verified_timestamp_seconds", "When a snapshot last passed its test")
log = logging.getLogger(__name__)


class SnapshotAge(Collector):
    """The metric of the newest snapshot's age, at the moment of the scrape. It has no value while no snapshot is known here, as always on AWS: a gauge
    would say 0 from the process's start, which is the age of a snapshot that was made now."""

    def __init__(self) -> None:
        self.finished_at: datetime | None = None

    def collect(self) -> Iterable[Metric]:
        found = GaugeMetricFamily("teal_snapshot_age_seconds", "Age of the newest whole snapshot; not there while there is none")
        if self.finished_at is not None:
            found.add_metric((), (datetime.now(UTC) - self.finished_at).total_seconds())
        yield found


AGE: Final = SnapshotAge()
REGISTRY.register(AGE)


def next_to_verify(known: Sequence[Manifest], proven: Mapping[str, datetime], now: datetime) -> Manifest | None:
    """The newest snapshot that was never tested, or else the one with the oldest test if that is more than a week ago: stored
    copies can decay. None if no test is due."""
    untested = next((one for one in known if one.id not in proven), None)
    if untested is not None:
        return untested
    oldest = min(known, key=lambda one: proven[one.id], default=None)
    return oldest if oldest is not None and now - proven[oldest.id] > VERIFY_AGAIN else None


class BackupSchedule:
    """Checks once a minute whether work is due. On AWS (`backup_hours` is 0) the platform takes and tests snapshots, and
    this only exports the results as metrics."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings, self._catalog = settings, catalog
        self._began = time.monotonic()
        self._refused: set[str] = set()  # ids of snapshots that failed their test in this process
        self._told: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set; every failure is logged and tried again later."""
        pause = FIRST_SECONDS
        while not stop.wait(pause):
            pause = LOOK_SECONDS
            try:
                self._look()
            except TealError as error:
                log.error("snapshot: %s", error.detail)
                pause = RETRY_SECONDS
            except Exception:
                log.exception("snapshot failed; next: `teal snapshot`")
                pause = RETRY_SECONDS

    def _look(self) -> None:
        if self._settings.backup_hours:
            self.keep_up()
        with self._catalog.read() as session:
            proven = snapshot_checks.last_passed(session)
        if proven:
            VERIFIED.set(max(proven.values()).timestamp())

    def keep_up(self) -> None:
        """Take a snapshot if one is due, and test the next snapshot whose test is due."""
        # Snapshots that this version cannot restore (of another search engine, or without a seal)
        # are ignored, so the next is due at once.
        kept = open_store(self._settings).kept()
        self._tell(kept)
        known = [
            one for one in credible(kept.snapshots) if one.search.kind == self._settings.search and not one.is_of_before_seals
        ]
        AGE.finished_at = known[0].finished_at if known else None  # also while the next one is being taken, or fails
        if self._due(known):
            made = snapshot.take_snapshot(self._settings)
            log.info("snapshot %s: %d documents, %s passages", made.id, made.catalog.documents, made.search.passages)
            known = [made, *known]
            AGE.finished_at = made.finished_at
        if not known:
            return
        with self._catalog.read() as session:
            proven = snapshot_checks.last_passed(session)
        wanted = next_to_verify([one for one in known if one.id not in self._refused], proven, datetime.now(UTC))
        if wanted is None:
            return
        try:
            done = check.verify_snapshot(self._settings, wanted, own_source(self._settings))
        except SnapshotRefused:
            self._refused.add(wanted.id)  # not tested again, so that the others get their turn
            raise
        log.info(
            "snapshot %s verified: %d documents, %d of %d samples found", done.snapshot, done.documents, done.found, done.sampled
        )

    def _tell(self, kept: StoredSnapshots) -> None:
        """Log once each snapshot that is kept but not used: its date lies in the future, it has no
        seal, or its manifest cannot be read."""
        unsealed = [
            (one.id, "a version without seals made it, and that version restores it")
            for one in kept.snapshots
            if one.is_of_before_seals
        ]
        ahead = [
            (one.id, f"says that it was finished at {one.finished_at:%Y-%m-%d %H:%M} UTC")
            for one in kept.snapshots
            if is_ahead(one)
        ]
        for id, why in [*unsealed, *ahead, *((one.id, one.why) for one in kept.unreadable)]:
            if id not in self._told:
                self._told.add(id)
                log.warning("the snapshot %s is kept and not used: %s; next: `teal snapshots`", id, why)

    def _due(self, known: list[Manifest]) -> bool:
        aged = bool(known) and (datetime.now(UTC) - known[0].finished_at).total_seconds() >= 3600 * self._settings.backup_hours
        if any(one.catalog.documents for one in known):
            return aged
        # The first snapshot with documents is due at once; otherwise an empty one would remain the newest for a whole day.
        with self._catalog.read() as session:
            counts = documents.count_by_status(session)
        if time.monotonic() - self._began < SETTLE_SECONDS and counts["queued"] + counts["processing"]:
            return False
        return aged or not known or counts["indexed"] > 0
