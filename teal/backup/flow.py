"""Restores or rebuilds search: fills an index beside the one in use, compares and exchanges them,
and reconciles with the catalog. The same on laptop and AWS.

After an interruption at any step the command may be run again:
nothing in service is touched before the exchange, and leftovers are removed first.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from teal.clock import Clock
from teal.errors import BadInput, NeedsHuman, OperatorError
from teal.events import Event
from teal.ports.target import Target
from teal.record.lease import LeaseHolder, refuse_unfinished
from teal.record.model import Color, ColorState, Record

TAKEN_OVER_SECONDS = 600.0  # for the worker to index the differences at the end; if some are left then, its log must be read
BESIDE = "-b"  # suffix of an index that a restore or rebuild fills; a release's has -r


@dataclass(frozen=True, slots=True)
class DataOperation:
    """Work on the data of one service. `admin` runs `python -m app.admin ARGUMENTS` and returns its JSON lines; `index` is in service.
    `keep` renews the lease on the record, and raises Superseded when another process has it."""

    admin: Callable[..., list[dict[str, Any]]]
    index: str
    clock: Clock
    poll_seconds: float
    keep: Callable[[], object] = lambda: None


def active(target: Target) -> tuple[Color, ColorState]:
    """The color in service. Raises BadInput before the first release."""
    record, _ = target.store.read()
    state = record.active_state
    if record.active is None or state is None:
        raise BadInput("Nothing is released yet, so there is nothing to keep", where=target.name, next="teal release")
    return record.active, state


@contextmanager
def hold_record(target: Target) -> Iterator[DataOperation]:
    """Take the lease on the record. Raises HeldByAnother, or NeedsHuman when a release was left unfinished."""
    color, state = active(target)

    def take(record: Record) -> Record:
        refuse_unfinished(record, target.clock)
        return record

    lease = LeaseHolder.take(target.store, target.clock, target.rules.lease_seconds, take)

    def admin(*arguments: str) -> list[dict[str, Any]]:
        return lease.during(lambda: target.runtime.admin(state, color, *arguments))

    try:
        yield DataOperation(admin, state.index, target.clock, target.rules.poll_seconds, lease.keep)
    finally:
        lease.end(lambda record: record)


def restore_search(work: DataOperation, which: Sequence[str]) -> Iterator[Event]:
    """Restore search from a snapshot, then reconcile it with the catalog."""
    name = yield from _fresh_name(work)
    with _removed_on_failure(work, name):
        yield Event("open", "start", f"the snapshot's index as {name}, beside {work.index}")
        row = work.admin("restore", "search", "--name", name, *which)[-1]
        yield Event("open", "ok", str(row["detail"]), data={"snapshot": row["snapshot"]})
        yield from _fill_and_swap(work, name)
    yield from reconcile_search(work)


def rebuild_search(work: DataOperation) -> Iterator[Event]:
    """Rebuild search from the catalog alone."""
    name = yield from _fresh_name(work)
    with _removed_on_failure(work, name):
        yield from _fill_and_swap(work, name)
    yield from reconcile_search(work)


def restore_catalog(work: DataOperation, which: Sequence[str]) -> Iterator[Event]:
    """Restore the catalog from a snapshot, then reconcile search with it."""
    yield Event("catalog", "start", "the snapshot's catalog, beside the one in use")
    for row in work.admin("restore", "catalog", *which):
        yield Event("catalog", "progress", str(row["detail"]), data={"snapshot": row["snapshot"]})
    yield Event("catalog", "ok", "in place")


def reconcile_search(work: DataOperation) -> Iterator[Event]:
    """Compare search with the catalog and wait until the worker has indexed the differences.
    Raises NeedsHuman when it does not."""
    yield Event("reconcile", "start", "search against the catalog")
    deadline = work.clock.monotonic() + TAKEN_OVER_SECONDS
    while True:
        row = work.admin("index", "reconcile")[-1]
        if row["left"] == 0 and row["missing"] == 0 and row["extra"] == 0:
            yield Event(
                "reconcile", "ok", f"{row['documents']} documents, all as the catalog says", data={"documents": row["documents"]}
            )
            return
        yield Event("reconcile", "progress", str(row["detail"]))
        if work.clock.monotonic() > deadline:
            raise NeedsHuman(
                f"The worker does not take over what differs: {row['detail']}", where=work.index, next="teal logs worker"
            )
        work.clock.sleep(work.poll_seconds)


def _fresh_name(work: DataOperation) -> Generator[Event, None, str]:
    """A new index name, after removing the indexes that earlier tries left."""
    for row in work.admin("index", "list"):
        if not row["serving"] and str(row["name"]).startswith(work.index + BESIDE):
            work.admin("index", "drop", "--name", str(row["name"]))
            yield Event("clean", "warn", f"removed {row['name']}, left by an earlier try")
    return f"{work.index}{BESIDE}{work.clock.now():%Y%m%d%H%M%S}"


def _fill_and_swap(work: DataOperation, name: str) -> Iterator[Event]:
    yield Event("fill", "start", f"{name} with what it has not, from the catalog")
    done = 0
    while True:
        row = work.admin("index", "build", "--name", name)[-1]
        done, left = done + int(row["done"]), int(row["left"])
        yield Event("fill", "progress", str(row["detail"]), done=done, total=done + left)
        if left == 0:
            break
    yield Event("fill", "ok", f"{done} documents")
    yield Event("compare", "start", "with the catalog, and by sample questions")
    row = work.admin("index", "verify", "--name", name)[-1]
    yield Event("compare", "ok", str(row["detail"]))
    row = work.admin("index", "swap", "--name", name)[-1]
    before = f"the one of before is kept as {row['kept']}" if row["kept"] else "there was none before to keep"
    yield Event("swap", "ok", f"{row['detail']}; {before}")


@contextmanager
def _removed_on_failure(work: DataOperation, name: str) -> Iterator[None]:
    try:
        yield
    except (Exception, KeyboardInterrupt):
        with suppress(OperatorError):  # the next try removes it
            work.admin("index", "drop", "--name", name)
        raise
