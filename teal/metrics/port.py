"""What users met in each color, as counts that only grow."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

from teal.record import Color


@dataclass(frozen=True, slots=True)
class Counts:
    """Since the color was deployed. `slow`: later than the SLO. `empty`: searches and asks that found nothing."""

    requests: int = 0
    errors: int = 0
    slow: int = 0
    searches: int = 0
    empty: int = 0
    model_calls: int = 0
    rate_limited: int = 0  # 429s of a model provider
    streams: int = 0
    broken_streams: int = 0

    def since(self, earlier: Counts) -> Counts:
        """The difference; a counter that went back (a process restarted) counts from zero."""
        pairs = ((field.name, getattr(self, field.name), getattr(earlier, field.name)) for field in fields(self))
        return Counts(**{name: now - then if now >= then else now for name, now, then in pairs})


class Metrics(Protocol):
    """`scrape` asks each process, `prometheus` asks a Prometheus. Contract: tests/contract/test_metrics_contract.py."""

    def read(self, color: Color) -> Counts:
        """The counts now, over all processes of the color. Raises OperatorError when nobody answers."""
        ...
