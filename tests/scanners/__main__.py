"""`make scan`: every scanner, one table, and whether anything above low is left that is not written down.

Exit codes: 0 all is well, 1 something was found or a reason has no finding any more, 4 a scanner could not run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.scanners.outcome import Accepted, Outcome, Verdict, accepted, judge
from tests.scanners.run import SCANNERS, outcome

LOG_COLUMNS = 150  # of a log, which nobody can widen


def table(outcomes: Sequence[Outcome], written_down: Sequence[Accepted]) -> Table:
    """A row for each scanner."""
    shown = Table(box=None, pad_edge=False)
    for name in ("scanner", "state", "above low", "written down", "low", "why"):
        shown.add_column(name, overflow="fold")
    for one in outcomes:
        ran, above = one.state == "ran", one.above_low()
        known = sum(any(row.covers(one.scanner, finding) for row in written_down) for finding in above)
        counts = (str(len(above)), str(known), str(len(one.findings) - len(above))) if ran else ("", "", "")
        colour = {"ran": "green", "could not run": "red", "left out": "yellow"}[one.state]
        shown.add_row(one.scanner, f"[{colour}]{one.state}[/{colour}]", *counts, escape(one.why))
    return shown


def report(outcomes: Sequence[Outcome], verdict: Verdict) -> dict[str, Any]:
    """The same for machines."""
    return {"scanners": [asdict(one) for one in outcomes], "verdict": asdict(verdict), "exit_code": verdict.exit_code()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.scanners", description=__doc__)
    parser.add_argument("--json", action="store_true", dest="as_json")
    parser.add_argument(
        "--without", action="append", default=[], metavar="NAME=WHY", help="leave this one out; says so in the table"
    )
    parser.add_argument("--may-not-run", default="", metavar="NAMES", help="those that cannot run here, separated by commas")
    options = parser.parse_args()
    left_out = dict(each.partition("=")[::2] for each in options.without)
    may_not_run = frozenset(filter(None, options.may_not_run.split(",")))
    if unknown := (left_out.keys() | may_not_run) - SCANNERS.keys():
        parser.error(f"there is no scanner {', '.join(sorted(unknown))}; there are {', '.join(SCANNERS)}")
    outcomes = []
    for name in SCANNERS:
        print(f"{name} ...", file=sys.stderr, flush=True)  # schemathesis takes a minute
        outcomes.append(Outcome(name, "left out", why=left_out[name]) if name in left_out else outcome(name))
    written_down = accepted()
    verdict = judge(outcomes, written_down, may_not_run=may_not_run)
    if options.as_json:
        print(json.dumps(report(outcomes, verdict), indent=1))
    else:
        console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else LOG_COLUMNS)
        console.print(table(outcomes, written_down))
        for scanner, finding in verdict.open:
            console.print(
                f"[red]open[/red]  {scanner} {finding.rule} {escape(finding.where)} ({finding.severity}): {escape(finding.text)}"
            )
        for one in verdict.stale:
            console.print(
                f"[red]stale[/red] {one.scanner} {one.rule} {escape(one.path)}: no longer found; take it out of tests/scanners/accepted.toml"
            )
        if verdict.missing:
            console.print(f"could not run, so nothing is known from: {', '.join(verdict.missing)}")
    sys.exit(verdict.exit_code())


if __name__ == "__main__":
    main()
