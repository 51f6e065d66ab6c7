"""The port `Runtime`: deploys, observes and retires the processes of a color."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from teal.events import Event
from teal.record.model import Color, ColorState


@dataclass(frozen=True, slots=True)
class Readiness:
    """Processes that answer /readyz with 200 out of those wanted; `reason` names what keeps the rest."""

    ready: int
    wanted: int
    reason: str = ""

    @property
    def complete(self) -> bool:
        return self.wanted > 0 and self.ready >= self.wanted


class Runtime(Protocol):
    """`supervisor` on a laptop, `pulumi` (one stack per color) on AWS. Contract: tests/contract/test_runtime_contract.py."""

    def deploy(self, color: Color, state: ColorState) -> Iterator[Event]:
        """Make the color run `state`: app processes (at least `replica_floor`) and worker.
        Repeating it with the same state changes nothing."""
        ...

    def readiness(self, color: Color) -> Readiness:
        """How many processes are ready, as they answer themselves; 0 of 0 for a color that does not run."""
        ...

    def replicas(self, color: Color) -> int:
        """App processes that run now."""
        ...

    def keep_at_least(self, color: Color, processes: int) -> None:
        """Never run fewer app processes of the color, however little it has to do, until another number is given. Starts and ends
        nothing by itself where the number is fixed, as on a laptop; a color that does not run is left alone."""
        ...

    def admin(self, state: ColorState, color: Color, *arguments: str) -> list[dict[str, Any]]:
        """Run `python -m app.admin ARGUMENTS` from the state's own image and configuration; its JSON lines. Raises AdminFailed."""
        ...

    def retire(self, color: Color) -> Iterator[Event]:
        """Stop everything in the color after draining its requests. Repeating it changes nothing."""
        ...

    def pending(self, color: Color) -> tuple[str, ...]:
        """What an interrupted operation left unfinished, one line each (Pulumi: pending operations); usually empty.
        Changes nothing."""
        ...

    def mend(self, color: Color) -> Iterator[Event]:
        """Clear what `pending` lists, so that `deploy` and `retire` work again (Pulumi:
        cancel, refresh with pending creates cleared)."""
        ...
