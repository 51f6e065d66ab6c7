"""The lease on the record. A releaser may act while the record has the generation and the lease token with which it began."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

from contract.watchdog import is_over
from teal.clock import Clock
from teal.errors import BadInput, HeldByAnother, NeedsHuman, OperatorError
from teal.record import person
from teal.record.model import Lease, LostRace, Record, Store, Version

T = TypeVar("T")
_TRIES = 50  # of a compare-and-set: a handful of writers at most, each writing every few seconds


class Superseded(OperatorError):
    """Another process has decided about the traffic (a rollback, a resume). This process stops without changing anything."""

    code = "superseded"

    def __init__(self, found: Record) -> None:
        doing = f"{found.release.id} is {found.release.phase}" if found.release else "no release is under way"
        super().__init__(
            f"Another operator took over (generation {found.generation}; {doing})",
            where="the release record",
            next="teal history",
        )


def is_expired(lease: Lease | None, clock: Clock) -> bool:
    """Whether the lease has expired, also if the clock was set back since it was written."""
    return lease is None or is_over(lease.expires_at, clock.now())


def change(store: Store, decide: Callable[[Record], Record]) -> tuple[Record, Version]:
    """Repeat compare-and-set until it succeeds. `decide` gets the newest record at each try and may raise."""
    for _ in range(_TRIES):
        record, stamp = store.read()
        wanted = decide(record)
        if wanted == record:
            return record, stamp
        try:
            return wanted, store.write(wanted, expected=stamp)
        except LostRace:
            continue
    raise OperatorError("The record changes faster than it can be written", where="the release record", next="teal history")


class LeaseHolder:
    """A held lease, made by `take`. A check costs one read, a change one read and one write."""

    def __init__(self, store: Store, clock: Clock, seconds: float, holder: str, token: str, generation: int) -> None:
        self._store, self._clock, self._seconds = store, clock, seconds
        self._holder, self._token, self.generation = holder, token, generation
        self._checked_at = clock.monotonic()

    @classmethod
    def take(
        cls, store: Store, clock: Clock, seconds: float, decide: Callable[[Record], Record], *, force: bool = False
    ) -> LeaseHolder:
        """Take the lease and begin a new generation with the record that `decide` returns. Raises HeldByAnother while another
        process has the lease, unless `force` takes it away."""
        holder = person.lease_holder()
        token = secrets.token_hex(8)
        lease = Lease(holder=holder, token=token, expires_at=clock.now() + timedelta(seconds=seconds))

        def begin(record: Record) -> Record:
            if not force:
                refuse_held(record, clock)
            return decide(record).model_copy(update={"lease": lease, "generation": record.generation + 1})

        record, _ = change(store, begin)
        return cls(store, clock, seconds, holder, token, record.generation)

    def check(self) -> Record:
        """The record, if this process may still act. Raises Superseded."""
        record, _ = self._store.read()
        return self._mine(record)

    def guard(self) -> None:
        """For `Traffic.set`: raises Superseded when this process may not act any more."""
        self.check()

    def keep(self) -> Record:
        """Check, and renew the lease when half of it is over, or when the clock was set back,
        which would make it look endless."""
        record = self.check()
        left = (record.lease.expires_at - self._clock.now()).total_seconds() if record.lease else 0.0
        return record if self._seconds / 2 <= left <= self._seconds else self.change(lambda found: found)

    def during(self, work: Callable[[], T]) -> T:
        """Run `work` and return or raise its result, renewing the lease while it blocks (a migration, a Job on a new node).
        Raises Superseded when the lease was taken away; the work then runs to its end and its result is dropped."""
        self.keep()
        with ThreadPoolExecutor(1, thread_name_prefix="work") as pool:
            running = pool.submit(work)
            while True:
                try:
                    return running.result(timeout=self._seconds / 4)
                except TimeoutError:
                    if running.done():  # `work` itself raised it
                        raise
                    self.keep()

    def change(self, decide: Callable[[Record], Record], *, generation: bool = False) -> Record:
        """Write the record that `decide` returns, with a renewed lease.
        `generation`: also begin a new generation, which this process keeps."""

        def mine(record: Record) -> Record:
            lease = Lease(
                holder=self._holder,
                token=self._token,
                expires_at=self._clock.now() + timedelta(seconds=self._seconds),
            )
            wanted = decide(self._mine(record)).model_copy(update={"lease": lease})
            return wanted.model_copy(update={"generation": record.generation + 1}) if generation else wanted

        record, _ = change(self._store, mine)
        self.generation = record.generation
        return record

    def end(self, decide: Callable[[Record], Record]) -> Record:
        """Make the last change: no release, no lease, and a new generation, which stops any process that was suspended."""
        over = {"release": None, "lease": None, "generation": self.generation + 1}
        record, _ = change(self._store, lambda record: decide(self._mine(record)).model_copy(update=over))
        return record

    def drop(self, decide: Callable[[Record], Record]) -> None:
        """Release the lease and leave the release as it is, for a person to continue."""
        change(self._store, lambda record: decide(self._mine(record)).model_copy(update={"lease": None}))

    @property
    def fresh(self) -> bool:
        """Whether no other process can have taken the lease since the last check,
        so that traffic may be given back even if the store is down."""
        return self._clock.monotonic() - self._checked_at < self._seconds / 2

    def _mine(self, record: Record) -> Record:
        if record.generation != self.generation or record.lease is None or record.lease.token != self._token:
            raise Superseded(record)
        self._checked_at = self._clock.monotonic()
        return record


def refuse_held(record: Record, clock: Clock) -> None:
    """Raise HeldByAnother while another process has an unexpired lease."""
    if record.lease is not None and not is_expired(record.lease, clock):
        what = f"{record.release.id} at {record.release.step}" if record.release else "the record"
        raise HeldByAnother(f"{record.lease.holder} holds {what}, until {record.lease.expires_at:%H:%M:%S} UTC at the latest",
                   where="the release record", next="teal rollback takes it without asking; else wait")  # fmt: skip


def refuse_unfinished(record: Record, clock: Clock) -> None:
    """Raise HeldByAnother while another process has the lease, or NeedsHuman when a release was left unfinished."""
    refuse_held(record, clock)
    if record.release is not None:
        raise NeedsHuman(f"Release {record.release.id} was left at {record.release.step} ({record.release.phase})",
                         where="the release record", next="teal resume, or teal abort")  # fmt: skip


def require_underway(record: Record) -> str:
    """The id of the release under way. Raises BadInput when there is none."""
    if record.release is None:
        raise BadInput("No release is under way", where="the release record", next="teal history")
    return record.release.id
