"""The port `Metrics`: counters of each color's requests and their outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from teal.record.model import Color


class Counts(Mapping[str, int]):
    """Counters by name, since the color was deployed (teal/metrics/gates.py says what each counts). A missing counter means that
    no process exported it, which differs from 0. Two objects are equal when the same counters have the same values."""

    __slots__ = ("_counted",)

    def __init__(self, counted: Mapping[str, int] | None = None) -> None:
        self._counted = dict(counted or {})

    def __getitem__(self, name: str) -> int:
        return self._counted[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counted)

    def __len__(self) -> int:
        return len(self._counted)

    def __repr__(self) -> str:
        return f"Counts({self._counted})"

    def since(self, earlier: Counts) -> Counts:
        """The difference to earlier counts; a counter that went back, because a process restarted, counts from zero."""
        pairs = ((name, now, earlier.get(name, 0)) for name, now in self.items())
        return Counts({name: now - then if now >= then else now for name, now, then in pairs})


class Metrics(Protocol):
    """`scrape` asks each process, `prometheus` asks a Prometheus. Contract: tests/contract/test_metrics_contract.py."""

    def read(self, color: Color) -> Counts:
        """The counts now, over all processes of the color. Raises OperatorError when none answers."""
        ...
