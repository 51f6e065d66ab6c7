"""The catalog and the jobs waiting in it. It has no program of its own:
the service's processes write it, and `status` shows their last progress."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from teal.errors import OperatorError
from teal.laptop import admin
from teal.laptop.parts.part import CheckRow, Part, PartContext

# The longest that a worker may spend on one document without progress:
# 10 MB take 15 minutes in all, and progress is noted on the way.
STUCK_SECONDS = 900.0
WAITING_SECONDS = 60.0  # the longest that a document may wait while none is processed: an idle worker takes one in a second
WRITE_SECONDS = 2.0  # to begin a transaction: a thousand times the usual time


class CatalogPart(Part):
    """Whether the catalog accepts a write, and the progress of its documents."""

    name = "catalog"

    def status(self, place: PartContext, known: Collection[str]) -> list[CheckRow]:
        try:
            lines = {str(line.get("kind")): line for line in admin.run_on(place.layout, ("activity",))}
        except OperatorError as error:
            if error.code == "invalid-request":
                return [CheckRow(self.name, True, "the version that runs does not tell what it last did")]
            return [CheckRow(self.name, False, error.what, error.next)]
        return [write_row(lines.get("write", {})), *work_rows(lines.get("catalog", {}))]


def write_row(line: Mapping[str, Any]) -> CheckRow:
    """Whether the catalog accepted a write just now."""
    if not line.get("ok"):
        said = str(line.get("detail", "it did not say whether it takes a write"))
        return CheckRow("catalog", False, f"takes no write: {said}", "end what holds it, then teal status")
    seconds = float(line["seconds"])
    slow = seconds > WRITE_SECONDS
    return CheckRow("catalog", not slow, f"took a write in {seconds:.2f} s", "teal logs worker" if slow else "")


def work_rows(found: Mapping[str, Any]) -> list[CheckRow]:
    """The document that is processed or waits longest, and how many documents each index has still to take over.
    No row without such a document."""
    rows = []
    working, waiting = found.get("processing"), found.get("queued")
    if working:
        age = float(working["age_seconds"])
        good = age < STUCK_SECONDS
        said = f"the worker has been at {working['document']} for {age:.0f} s without progress"
        rows.append(CheckRow("work", good, said, "" if good else "teal logs worker"))
    if waiting:
        age = float(waiting["age_seconds"])
        good = bool(working) or age < WAITING_SECONDS
        rows.append(CheckRow("queue", good, f"the oldest document has waited {age:.0f} s", "" if good else "teal logs worker"))
    for owed in found.get("owed", ()):
        rows.append(CheckRow("index outbox", True, f"index {owed['index']} is owed {owed['documents']} documents"))
    return rows
