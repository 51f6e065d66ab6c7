"""What a releaser has in hand while it works: the target, its hold on the record, the plan, and the diary that becomes the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from teal.metrics.port import Counts
from teal.record import Color, ColorState
from teal.release.ledger import Ledger, Superseded
from teal.release.plan import Document
from teal.release.probe import Prober
from teal.release.target import Target
from teal.stack.events import Event
from teal.traffic.port import Weights, all_to


@dataclass
class Run:
    """One process's work on one release."""

    target: Target
    ledger: Ledger
    document: Document
    reference: Counts | None = None  # what the active color did in its last judged window, for when it has no traffic left
    asked: int = 0  # probes sent, to go through the questions in turn
    stopped: bool = False  # nobody listens to the events any more
    diary: list[tuple[datetime, Event]] = field(default_factory=list)

    @property
    def new(self) -> Color:
        return self.document.target

    @property
    def old(self) -> Color | None:
        return self.document.previous

    def state(self) -> ColorState:
        """The new color as the record has it, its raised floor included."""
        return self.ledger.check().color(self.new) or self.document.state

    def admin(self, state: ColorState, color: Color, *arguments: str) -> list[dict[str, Any]]:
        """`python -m app.admin ARGUMENTS` from that color's image, the lease kept however long it takes. Raises AdminFailed, Superseded."""
        return self.ledger.during(lambda: self.target.runtime.admin(state, color, *arguments))

    def told(self, event: Event) -> Event:
        """Note an event for the evidence."""
        self.diary.append((self.target.clock.now(), event))
        return event

    def prober(self, color: Color) -> Prober:
        return Prober(self.target.client(self.target.traffic.entry(color)), self.target.probe_headers)

    def wait(self) -> None:
        """One poll. Raises Superseded when somebody else took over meanwhile."""
        self.target.clock.sleep(self.target.rules.poll_seconds)
        self.ledger.keep()

    def set_shares(self, weights: Weights) -> None:
        """Shift, if the generation has not moved. Raises Superseded; then the shares are what the record's new holder wants.

        A process can be frozen after its last check. Looking again afterwards bounds what users meet then by one round trip,
        where the load balancer itself can not refuse (ALB).
        """
        self.target.traffic.set(weights, check=self.ledger.guard)
        try:
            self.ledger.check()
        except Superseded:
            active = self.target.store.read()[0].active
            if active is not None:
                self.target.traffic.set(all_to(active))
            raise


def shares(weights: Weights) -> Mapping[str, Any]:
    return {"weights": {"blue": weights.blue, "green": weights.green}}
