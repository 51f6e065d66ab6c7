"""Snapshots: a folder that the worker writes. `status` tries whether it can be written and says how old the newest snapshot is."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from teal.laptop.parts.part import Part, Place, Row

MANIFEST = "manifest.json"  # as in app/backup/manifest.py
# As `snapshot_hours` of the laptop's rules: two days, since a laptop sleeps and takes its snapshot when it wakes
LATE_HOURS = 50.0
RUNBOOK = "runbooks/snapshot-stale.md"
TRIAL_BYTES = 4096  # one block: a full disk often still takes an empty file


class Snapshots(Part):
    """The folder and the newest snapshot in it."""

    name = "snapshots"

    def status(self, place: Place, known: Collection[str]) -> list[Row]:
        folder = place.layout.backups
        problem = unwritable(folder)
        if problem:
            return [Row(self.name, False, f"none can be taken: {problem}", f"free or mend {folder}, then teal snapshot")]
        return [age_row(folder, datetime.now(UTC))]


def unwritable(folder: Path) -> str | None:
    """Why nothing can be written there, tried with a real file; None when it can be."""
    trial = folder / f".trial-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with trial.open("xb") as file:
            file.write(bytes(TRIAL_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return f"{folder}: {error.strerror or error}"
    finally:
        with contextlib.suppress(OSError):
            trial.unlink(missing_ok=True)
    return None


def age_row(folder: Path, now: datetime) -> Row:
    """How old the newest snapshot is. One from the future says nothing about what can be restored, so it counts as none."""
    ages = []
    for path in folder.glob(f"*/{MANIFEST}"):
        try:
            ages.append((now - datetime.fromisoformat(str(json.loads(path.read_bytes())["finished_at"]))).total_seconds())
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another version's, or damaged: `teal snapshots` tells
    past = [age for age in ages if age >= 0]
    if not past:
        return Row("snapshots", True, "none yet: the worker takes the first when documents are indexed")
    hours = min(past) / 3600
    late = hours > LATE_HOURS
    return Row("snapshots", not late, f"the newest is {hours:.1f} h old", f"teal snapshot; {RUNBOOK}" if late else "")
