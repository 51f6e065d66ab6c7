"""The history of results over releases: a JSON lines file with one line for each run, plotted in each report."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from loadtests.measured import QUESTIONS, Count, Interval, LoadTestResult


class PastRun(BaseModel):
    """A run in the history: enough to see a slow change.
    `release`: the service's, if the command that ran the load test knew it."""

    model_config = ConfigDict(extra="ignore")
    began: float  # Unix seconds
    shape: str
    where: str = ""
    release: str = ""
    outcome: str
    goodput: Interval | None = None
    search_p95_ms: float | None = None
    first_event_p95_ms: float | None = None


def append_run(path: Path, result: LoadTestResult) -> list[PastRun]:
    """Append this run, and return all runs of its shape and place, oldest first.
    A run that is reported again replaces its line."""
    totals = result.totals
    search, first_event = ((totals.get(name) or Count()).percentile_ms(0.95) for name in QUESTIONS)
    mine = PastRun(
        began=result.began,
        shape=result.shape,
        where=str(result.about.get("where", result.host)),
        release=str(result.about.get("release", "")),
        outcome=result.outcome,
        goodput=result.goodput,
        search_p95_ms=search,
        first_event_p95_ms=first_event,
    )
    kept = [one for one in read_history(path) if (one.began, one.shape) != (mine.began, mine.shape)]
    found = sorted([*kept, mine], key=lambda one: one.began)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f"{path.suffix}.new")
    new.write_text("".join(one.model_dump_json() + "\n" for one in found), encoding="utf-8")
    new.replace(path)
    return [one for one in found if (one.shape, one.where) == (mine.shape, mine.where)]


def read_history(path: Path) -> list[PastRun]:
    """Read the history. Raises ValueError, which names the line, for a file that is none."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines() if path.is_file() else (), start=1):
        try:
            found.append(PastRun.model_validate_json(line))
        except ValidationError as error:
            raise ValueError(f"{path}, line {number}: {error.errors()[0]['msg']}") from error
    return found
