"""`python -m teal.release.watchdog`: protects a release's users when its releaser does not. supervisord runs it on a laptop
(teal/laptop/parts/watchdog.py); on AWS a scheduled function does the first half (infra/platform/ingress/watchdog.py).

It first returns the traffic to the active color and writes the reason into the record. If no process resumes the release, it ends
it a little later; the delay lets a person act first. The limits are in contract/watchdog.py.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from contract.watchdog import (
    END_SECONDS,
    NOBODY,
    UserOutcomes,
    given_back,
    is_promoted,
    is_unheld,
    patience_seconds,
    reason_to_return,
)
from teal.errors import OperatorError
from teal.events import Event
from teal.metrics.gates import ERRORS, REQUESTS
from teal.ports.metrics import Counts
from teal.ports.target import Target
from teal.ports.traffic import all_to
from teal.record.lease import Superseded, change, require_underway
from teal.record.model import Record
from teal.release.rollback import rollback
from teal.release.runner import resume
from teal.targets import open_target

LOOK_SECONDS: Final = 0.5
RECENT_SECONDS: Final = 10.0  # the active color's users are judged by their requests of this time
ASK_SECONDS: Final = 2.0  # between two reads of the active color's counters
LONGEST_PAUSE_SECONDS: Final = 600.0  # the longest pause between tries to end a release


@dataclass
class Watchdog:
    """The watchdog of one target. `look` is called again and again.
    If its memory between two looks is lost, it only waits again."""

    target: Target
    unheld: tuple[int, float] | None = None  # the generation without a live lease, and since when (monotonic seconds)
    before: UserOutcomes = NOBODY  # the active color's counts up to the beginning of the release under way
    release: str = ""  # the release to which `recent` belongs
    recent: deque[tuple[float, UserOutcomes]] = field(default_factory=deque)
    pause: float = 0.0
    not_until: float = 0.0

    def look(self) -> Iterator[Event]:
        """Look once and act on it. Raises OperatorError when something did not answer; the caller looks again."""
        record, _ = self.target.store.read()
        now = self.target.clock.monotonic()
        if record.release is None:
            self.unheld, self.release, self.pause = None, "", 0.0
            return
        said, share = _said(record), self.target.traffic.read().of(record.release.target)
        if why := reason_to_return(said, share, self.target.clock.now(), self._lately(record, now), self.before):
            yield from self._give_back(record, why)
            return
        if not is_unheld(said, self.target.clock.now()):
            self.unheld = None
            return
        if self.unheld is None or self.unheld[0] != record.generation:
            self.unheld = (record.generation, now)
        if now - self.unheld[1] >= patience_seconds(said) and now >= self.not_until:
            self.pause = min(LONGEST_PAUSE_SECONDS, max(END_SECONDS, 2 * self.pause))
            self.not_until = now + self.pause
            yield from self._end(record)

    def _give_back(self, record: Record, why: str) -> Iterator[Event]:
        if record.active is None or record.release is None:
            return
        if not is_unheld(_said(record), self.target.clock.now()):  # the releaser lives, but users suffer: roll back now
            yield Event("watchdog", "warn", why)
            yield from rollback(self.target, note=f"watchdog: {why}")
            return
        self.target.traffic.set(all_to(record.active))  # before everything else
        id, clock = record.release.id, self.target.clock

        def write(found: Record) -> Record:
            if (
                found.release is None
                or found.release.id != id
                or not is_unheld(_said(found), clock.now())
                or is_promoted(_said(found))
            ):
                raise Superseded(found)  # another process has resumed it
            return Record.model_validate(given_back(_said(found), why))

        try:
            change(self.target.store, write)
        except Superseded:
            yield Event("watchdog", "warn", f"somebody took {id} up meanwhile: its shares are that one's")
            return
        self.target.traffic.set(all_to(record.active))  # a late call of a suspended releaser may have changed them
        yield Event("watchdog", "warn", f"all requests to {record.active}: {why}")

    def _end(self, record: Record) -> Iterator[Event]:
        """End the release as a person would: finish a promoted one, undo any other."""
        if is_promoted(_said(record)) or (record.release is not None and record.release.phase == "RollingBack"):
            yield from resume(self.target)
        else:
            yield from rollback(self.target, note="watchdog: its releaser was gone")

    def _lately(self, record: Record, now: float) -> UserOutcomes:
        """The outcomes of the active color's users in the last seconds.
        The first look at a release also keeps the counts before it."""
        if record.active is None or not self._is_serving(record):
            return NOBODY
        id = require_underway(record)
        if id != self.release:
            self.release, self.before = id, NOBODY
            self.recent.clear()
        if not self.recent or now - self.recent[-1][0] >= ASK_SECONDS:
            try:
                counted = _users(self.target.metrics.read(record.active))
            except OperatorError:
                return NOBODY  # the lease is checked all the same
            self.before = self.before if self.recent else counted
            self.recent.append((now, counted))
        while len(self.recent) > 2 and self.recent[1][0] <= now - RECENT_SECONDS:
            self.recent.popleft()
        last = self.recent[-1][1]
        first = self.recent[0][1]
        return UserOutcomes(max(0, last.failed - first.failed), max(0, last.asked - first.asked))

    def _is_serving(self, record: Record) -> bool:
        """Whether users can be a reason to return this release's traffic: it is neither being undone nor promoted."""
        return record.release is not None and record.release.phase != "RollingBack" and not is_promoted(_said(record))


def _users(counts: Counts) -> UserOutcomes:
    return UserOutcomes(counts.get(ERRORS.name, 0), counts.get(REQUESTS.name, 0))


def _said(record: Record) -> Mapping[str, Any]:
    return record.model_dump(mode="json")


def main() -> int:
    """Run until the process is ended. Errors are printed and the look repeated,
    because this process must survive anything that a release breaks."""
    dog: Watchdog | None = None
    while True:
        try:
            dog = dog or Watchdog(open_target(None))
            for event in dog.look():
                print(f"{event.state} {event.step} {event.detail}", flush=True)  # noqa: T201
        except (OperatorError, OSError) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
