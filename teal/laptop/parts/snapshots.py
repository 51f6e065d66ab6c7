"""Snapshots: a folder to which the worker writes.
`status` tests whether it can be written, and shows the age of the newest snapshot."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from teal.laptop.parts.part import CheckRow, Part, PartContext

MANIFEST = "manifest.json"  # as in app/backup/manifest.py
# The same as `snapshot_hours` of the laptop's rules: two days, because a sleeping laptop takes its snapshot only when it wakes.
LATE_HOURS = 50.0
RUNBOOK = "runbooks/snapshot-stale.md"
KEY_BEGINS = "AGE-SECRET-KEY-1"
AHEAD_SECONDS = 300.0  # accepted difference of two clocks, as in app/backup/clock.py
TRIAL_BYTES = 4096  # one block: a full disk often still takes an empty file


class SnapshotsPart(Part):
    """The folder and the newest snapshot in it."""

    name = "snapshots"

    def status(self, place: PartContext, known: Collection[str]) -> list[CheckRow]:
        folder = place.layout.backups
        problem = unwritable_reason(folder)
        if problem:
            return [CheckRow(self.name, False, f"none can be taken: {problem}", f"free or mend {folder}, then teal snapshot")]
        if (said := key_problem(place.layout.backup_key)) and any(folder.glob(f"*/{MANIFEST}")):
            return [
                CheckRow(
                    self.name,
                    False,
                    f"none that is here can be opened, and none taken: {said}",
                    "bring the key back from where you kept its copy",
                )
            ]
        return [age_row(folder, datetime.now(UTC))]


def unwritable_reason(folder: Path) -> str | None:
    """Why the folder cannot be written, tested with a real file; None when it can be."""
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


def key_problem(key: Path) -> str | None:
    """Why the file contains no key for snapshots; None when it has the form that `age-keygen` writes."""
    try:
        lines = key.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        return f"{key}: {error.strerror or error}"
    return None if any(line.startswith(KEY_BEGINS) for line in lines) else f"{key} holds no key"


def age_row(folder: Path, now: datetime) -> CheckRow:
    """The age of the newest restorable snapshot. Snapshots from the future do not count, and incomplete ones are named."""
    ages, cannot, newest_damaged = list[float](), list[str](), False
    for path in sorted(folder.glob(f"*/{MANIFEST}"), reverse=True):
        try:
            found = json.loads(path.read_bytes())
            age = (now - datetime.fromisoformat(str(found["finished_at"]))).total_seconds()
            lacking = incomplete(path.parent, found)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            cannot.append(f"{path.parent.name} cannot be read")  # from another version, or damaged: `teal snapshots` shows which
            continue
        if lacking:
            cannot.append(f"{path.parent.name} is damaged ({lacking})")
            newest_damaged = newest_damaged or not ages
        elif age < -AHEAD_SECONDS:
            cannot.append(f"{path.parent.name} is from the future")
        else:
            ages.append(max(0.0, age))
    besides = f"; {len(cannot)} cannot be used, the newest: {cannot[0]}" if cannot else ""
    if not ages:
        if cannot:
            # These snapshots do not count, so the worker takes a new one within minutes.
            # It is a fault only when the newest one was damaged.
            return CheckRow("snapshots", not newest_damaged, f"none that can be restored{besides}", f"teal snapshot; {RUNBOOK}")
        return CheckRow("snapshots", True, "none yet: the worker takes the first when documents are indexed")
    hours = min(ages) / 3600
    bad = hours > LATE_HOURS or newest_damaged
    return CheckRow("snapshots", not bad, f"the newest is {hours:.1f} h old{besides}", f"teal snapshot; {RUNBOOK}" if bad else "")


def incomplete(folder: Path, manifest: Mapping[str, Any]) -> str | None:
    """A sentence about the first copy in the manifest that is missing or has another length.
    `teal verify` checks checksums, which is slower."""
    for part in ("catalog", "search"):
        copy = (manifest.get(part) or {}).get("copy_of")
        if not copy:
            continue
        path = folder / str(copy["file"])
        if not path.is_file():
            return f"{path.name} is gone"
        if path.stat().st_size != copy["bytes"]:
            return f"{path.name} has {path.stat().st_size} of {copy['bytes']} bytes"
    return None
