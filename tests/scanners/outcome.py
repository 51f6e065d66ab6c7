"""What a scanner found, as data, and when that is good enough."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Severity = Literal["low", "medium", "high"]
State = Literal["ran", "could not run", "left out"]
ACCEPTED_FILE: Final = Path(__file__).parent / "accepted.toml"
FAILED, INCOMPLETE = 1, 4  # exit codes: something was found; a human must see that something could not run


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a scanner says. `rule` is its own name for it, `where` begins with the file or the part."""

    rule: str
    where: str
    severity: Severity
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One scanner: whether it ran, why not, and what it found."""

    scanner: str
    state: State
    why: str = ""
    findings: tuple[Finding, ...] = ()

    def above_low(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity != "low")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A finding that stays, and the reason. `path` is the beginning of its `where`."""

    scanner: str
    rule: str
    path: str
    reason: str

    def covers(self, scanner: str, finding: Finding) -> bool:
        return (self.scanner, self.rule) == (scanner, finding.rule) and finding.where.startswith(f"{self.path}:")


def accepted(path: Path = ACCEPTED_FILE) -> tuple[Accepted, ...]:
    """Every finding that is written down."""
    rows = tomllib.loads(path.read_text(encoding="utf-8")).get("accepted", [])
    return tuple(Accepted(**row) for row in rows)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`open`: above low and not written down. `stale`: written down and no longer found. `missing`: scanners that could not run."""

    open: tuple[tuple[str, Finding], ...]
    stale: tuple[Accepted, ...]
    missing: tuple[str, ...]

    def exit_code(self) -> int:
        if self.open or self.stale:
            return FAILED
        return INCOMPLETE if self.missing else 0


def judge(outcomes: Sequence[Outcome], written_down: Sequence[Accepted], *, may_not_run: frozenset[str] = frozenset()) -> Verdict:
    """What is left to do. A scanner that could not run is missing, unless whoever asks said that it cannot run here."""
    ran: Mapping[str, Outcome] = {outcome.scanner: outcome for outcome in outcomes if outcome.state == "ran"}
    found = [(name, finding) for name, outcome in ran.items() for finding in outcome.above_low()]
    return Verdict(
        open=tuple(pair for pair in found if not any(one.covers(*pair) for one in written_down)),
        stale=tuple(one for one in written_down if one.scanner in ran and not any(one.covers(*pair) for pair in found)),
        missing=tuple(
            outcome.scanner for outcome in outcomes if outcome.state == "could not run" and outcome.scanner not in may_not_run
        ),
    )
