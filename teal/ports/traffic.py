"""The port `Traffic`: reads and sets the shares of the requests that the colors receive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from teal.client.entry import ColorEndpoint
from teal.record.model import Color


@dataclass(frozen=True, slots=True)
class Weights:
    """Shares in percent; together 100."""

    blue: int
    green: int

    def __post_init__(self) -> None:
        if self.blue < 0 or self.green < 0 or self.blue + self.green != 100:
            raise ValueError(f"weights must be shares of 100: {self}")

    def of(self, color: Color) -> int:
        return self.blue if color == "blue" else self.green


def all_to(color: Color) -> Weights:
    return Weights(100, 0) if color == "blue" else Weights(0, 100)


def weights_after_shift(target: Color, percent: int) -> Weights:
    """`percent` of the requests to the target, the rest to the other color."""
    return Weights(percent, 100 - percent) if target == "blue" else Weights(100 - percent, percent)


class Traffic(Protocol):
    """`caddy` on a laptop, `alb` on AWS. Contract and differences: tests/contract/test_traffic_contract.py."""

    def read(self) -> Weights:
        """The shares in force, asked of the load balancer itself."""
        ...

    def set(self, weights: Weights, *, check: Callable[[], None] | None = None) -> None:
        """Put the shares in force at once and read them back. Raises OperatorError when they differ from what was set.

        `check` is called when everything else is prepared, as late as possible before the shares take effect. If it raises,
        nothing has changed. Where the load balancer allows it (Caddy: every `set` unlinks prepared links), a `set` that another
        one overtakes after its `check` fails instead of taking effect.
        """
        ...

    def entry(self, color: Color) -> ColorEndpoint:
        """Address and headers with which probes reach one color."""
        ...
