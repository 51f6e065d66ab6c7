"""The state of a releaser while it works: the target, its lease on the record, the plan,
and the log of events that becomes the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from contract.steering import Steering
from teal.client.probe import Prober
from teal.events import Event
from teal.ports.target import Target
from teal.ports.traffic import Weights, all_to
from teal.record.lease import LeaseHolder, Superseded
from teal.record.model import Color, ColorState
from teal.record.releases import ReleasePlan
from teal.release.analysis import Analysis

TENANT_HOURS: Final = 6  # longer than a release with its analyses, a pause and the rollback window


@dataclass
class ReleaseRun:
    """One process's work on one release."""

    target: Target
    lease: LeaseHolder
    plan: ReleasePlan
    analysis: Analysis | None = None  # of the whole release, from its first shift on
    bound_key: str | None = None  # the key of a reader of the probes' collection only; None until it is made
    evidence: str = ""  # key of the page that will be written at the end
    visits: int = 0  # visits of behaviour probes to a color that has users, which use the questions in turn
    asked: int = 0  # number of probes sent, which use the questions in turn
    steering: Steering = field(default_factory=Steering)  # the release's hooks and notifications
    messages: list[Any] = field(default_factory=list)  # notifications on their way (teal/release/announce.py)
    stopped: bool = False  # the events are not read any more
    diary: list[tuple[datetime, Event]] = field(default_factory=list)

    @property
    def new(self) -> Color:
        return self.plan.target

    @property
    def old(self) -> Color | None:
        return self.plan.previous

    def state(self) -> ColorState:
        """The new color's state in the record, with its raised `replica_floor`."""
        return self.lease.check().color(self.new) or self.plan.state

    def admin(self, state: ColorState, color: Color, *arguments: str) -> list[dict[str, Any]]:
        """Run `python -m app.admin ARGUMENTS` from that color's image, renewing the lease meanwhile.
        Raises AdminFailed, Superseded."""
        return self.lease.during(lambda: self.target.runtime.admin(state, color, *arguments))

    def told(self, event: Event) -> Event:
        """Record an event for the evidence, and return it."""
        self.diary.append((self.target.clock.now(), event))
        return event

    def prober(self, color: Color) -> Prober:
        return Prober(self.target.client(self.target.traffic.entry(color)), self.target.probe_headers)

    def tenant(self, color: Color, collection: str) -> Prober:
        """A prober that acts as another tenant's user, with a reader's key for this one collection, which expires."""
        if self.bound_key is None:
            until = self.target.clock.now() + timedelta(hours=TENANT_HOURS)
            # Made by the active color's code, because the new code may need a schema that does not exist yet.
            state = self.lease.check().color(self.old) if self.old else None
            rows = self.admin(state or self.state(), self.old if self.old and state else self.new, "keys", "create", "--role", "reader", "--name", f"probes of {self.plan.id}",
                              "--collection", collection, "--expires-at", until.isoformat())  # fmt: skip
            self.bound_key = str(rows[-1]["key"])
        return Prober(self.target.client(self.target.traffic.entry(color)), {"Authorization": f"Bearer {self.bound_key}"})

    def wait(self) -> None:
        """Sleep for one poll and renew the lease. Raises Superseded when another process took over."""
        self.target.clock.sleep(self.target.rules.poll_seconds)
        self.lease.keep()

    def set_shares(self, weights: Weights) -> None:
        """Set the shares if the generation is unchanged. Raises Superseded; the shares are then those of the record's new holder.

        A process can be frozen between its last check and the change. Where the load balancer itself cannot refuse the change
        (ALB), the check afterwards limits its effect on users to one round trip.
        """
        self.target.traffic.set(weights, check=self.lease.guard)
        try:
            self.lease.check()
        except Superseded:
            active = self.target.store.read()[0].active
            if active is not None:
                self.target.traffic.set(all_to(active))
            raise


def shares_json(weights: Weights) -> Mapping[str, Any]:
    return {"weights": {"blue": weights.blue, "green": weights.green}}
