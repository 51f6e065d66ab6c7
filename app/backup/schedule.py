"""The worker's own snapshots: taken and verified every so many hours, by one worker however many there are."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from typing import Final

from prometheus_client import Gauge

from app.backup import check, shelf, snapshot
from app.backup.manifest import Manifest
from app.backup.restore import Place
from app.catalog import checks, documents
from app.catalog.engine import Catalog
from app.errors import TealError
from app.settings import Settings

FIRST_SECONDS: Final = 20.0  # after the worker's start: users first
LOOK_SECONDS: Final = 60.0
SETTLE_SECONDS: Final = 600.0  # the first snapshot waits this long for what is being taken in: better whole than early
RETRY_SECONDS: Final = 600.0  # after one that failed

AGE: Final = Gauge("teal_snapshot_age_seconds", "Age of the newest whole snapshot; not there while there is none")
VERIFIED: Final = Gauge("teal_snapshot_verified_timestamp_seconds", "When a snapshot last passed its test")
log = logging.getLogger(__name__)


class Schedule:
    """Looks once a minute. On AWS (`backup_hours` 0) the platform takes snapshots and tests them; here only what it found is told."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings, self._catalog = settings, catalog
        self._began = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; whatever fails is logged and tried again later."""
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
            self._keep()
        with self._catalog.read() as session:
            proven = checks.verified(session)
        if proven:
            VERIFIED.set(max(proven.values()).timestamp())

    def _keep(self) -> None:
        # Another engine's are no use to this one: after a change of engine the next is due at once.
        known = [one for one in shelf.snapshots(self._settings) if one.search.kind == self._settings.search]
        if self._due(known):
            made = snapshot.take(self._settings)
            log.info("snapshot %s: %d documents, %s passages", made.id, made.catalog.documents, made.search.passages)
            known = [made, *known]
        if not known:
            return
        newest = known[0]
        AGE.set((datetime.now(UTC) - newest.finished_at).total_seconds())
        with self._catalog.read() as session:
            proven = checks.verified(session)
        if newest.id not in proven:
            done = check.verify(self._settings, newest, Place(self._settings.backup_dir, self._settings.backup_key))
            log.info(
                "snapshot %s verified: %d documents, %d of %d samples found",
                done.snapshot,
                done.documents,
                done.found,
                done.sampled,
            )

    def _due(self, known: list[Manifest]) -> bool:
        aged = bool(known) and (datetime.now(UTC) - known[0].finished_at).total_seconds() >= 3600 * self._settings.backup_hours
        if any(one.catalog.documents for one in known):
            return aged
        # The first one with something in it: an empty one says nothing for a day about what came after it.
        with self._catalog.read() as session:
            counts = documents.counts(session)
        if time.monotonic() - self._began < SETTLE_SECONDS and counts["queued"] + counts["processing"]:
            return False
        return aged or not known or counts["indexed"] > 0
