"""Renders a run as one HTML page without scripts or external files.
All text is escaped, because failures may contain a server's response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from loadtests.evaluate import last_kept_stage
from loadtests.history import PastRun
from loadtests.measured import Count, LoadTestResult, covered_seconds, generator_health

_TEMPLATE: Final = Path(__file__).with_name("report.html.j2")
SHARES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class ReportRow:
    """Requests of one name, with those of the baseline."""

    name: str
    requests: int
    per_second: float
    failed_percent: float
    percentiles_ms: tuple[float | None, ...]
    before: tuple[float | None, ...] = ()
    before_failed_percent: float | None = None

    def ratio(self, number: int) -> float | None:
        """This run's percentile divided by the baseline's."""
        now, then = self.percentiles_ms[number], self.before[number] if self.before else None
        return now / then if now is not None and then else None


def report_rows(result: LoadTestResult, baseline: LoadTestResult | None = None) -> list[ReportRow]:
    """Every name in alphabetical order."""
    before = baseline.totals if baseline else {}
    return [_row(name, count, result.judged_seconds, before.get(name)) for name, count in sorted(result.totals.items())]


def _row(name: str, count: Count, seconds: float, before: Count | None) -> ReportRow:
    def of(one: Count) -> tuple[float | None, ...]:
        return tuple(one.percentile_ms(share) for share in SHARES)

    return ReportRow(
        name,
        count.requests,
        count.requests / seconds if seconds else 0.0,
        _failed_percent(count),
        of(count),
        of(before) if before else (),
        _failed_percent(before) if before else None,
    )


def _failed_percent(count: Count) -> float:
    return 100 * count.failed / count.requests if count.requests else 0.0


def report_page(result: LoadTestResult, baseline: LoadTestResult | None = None, earlier: Sequence[PastRun] = ()) -> str:
    """The whole page. With a baseline, its plots are shown beside this run's."""
    from loadtests.plots import over_time, plots  # matplotlib takes a second to import

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    began = datetime.fromtimestamp(result.began, UTC)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        result=result,
        baseline=baseline,
        began=f"{began:%Y-%m-%d %H:%M:%S} UTC",
        rows=report_rows(result, baseline),
        # matplotlib escapes text in its SVG.
        plots={heading: Markup(svg) for heading, svg in plots(result, beside=baseline).items()},  # noqa: S704
        plots_before={heading: Markup(svg) for heading, svg in plots(baseline, beside=result).items()} if baseline else {},  # noqa: S704
        over_time=Markup(over_time(earlier)) if len(earlier) > 1 else "",  # noqa: S704
        sentence=sentence(result),
        sent=request_totals(result),
        speed=token_rates(result),
    )


def sentence(result: LoadTestResult) -> str:
    """The outcome as sentences that agree with the tables."""
    of = {"kept": "Every threshold was kept", "breached": "A threshold was breached", "too few": "There are too few samples to say",
          "void": "The load generator was the limit, so this says nothing about the service", "failed": "The load test itself failed"}  # fmt: skip
    said = of[result.outcome]
    if result.each_stage and result.stages:
        number = last_kept_stage(result.stages) or 0
        level, above = result.stages[number].level, result.stages[number + 1 :]
        if result.stages[number].outcome == "kept":
            said = f"Every threshold was kept at {level} requests a second"
            said += (
                f", and {above[0].level} a second {_was(above[0].outcome)}: {above[0].why}"
                if above
                else "; no higher stage was tried"
            )
        else:
            said = f"The first stage, {level} requests a second, {_was(result.stages[number].outcome)}"
    elif result.why:
        said += f": {result.why}"
    if undrained := [one for one in result.climbs if one.drain is not None and not one.drain.drained]:
        said += f". The service did not drain after {len(undrained)} of {len(result.climbs)} climbs, so the next ones began in a backlog"
    if result.goodput is not None:
        one = result.goodput
        spread = (
            f" (95 % confidence: {one.low:.1f} to {one.high:.1f}, {one.repetitions} repetitions)"
            if one.low is not None
            else " (one repetition, so no interval)"
        )
        said += f". Goodput, answers within every limit: {one.mean:.1f} a second{spread}"
    early = " The run was ended before its time, and only what was measured until then is judged." if result.interrupted else ""
    return f"{said}.{early}"


def _was(outcome: str) -> str:
    return "had too few samples to say" if outcome == "too few" else f"was {outcome}"


@dataclass(frozen=True, slots=True)
class RequestTotals:
    """Counts of requests of one name: sent, answered with any status, and unanswered."""

    name: str
    sent: int
    answered: int

    @property
    def unanswered(self) -> int:
        return self.sent - self.answered


def request_totals(result: LoadTestResult) -> list[RequestTotals]:
    own = result.generator
    return [RequestTotals(name, count, own.answered.get(name, 0)) for name, count in sorted(own.sent.items())]


def token_rates(result: LoadTestResult) -> dict[str, str]:
    """The numbers about tokens and streams, by heading."""
    staged = [one for one in result.windows if not one.warm_up and one.stage is not None]
    own = generator_health(staged)
    if not own.tokens:
        return {}
    gaps = Count(ms=own.between_tokens_ms)
    half, most = gaps.percentile_ms(0.5), gaps.percentile_ms(0.95)
    between = "-" if half is None or most is None else f"50 % within {half:.0f} ms, 95 % within {most:.0f} ms"
    seconds = covered_seconds(staged) or 1.0
    return {"tokens a second, all streams together": f"{own.tokens / seconds:,.1f}", "between two tokens": between,
            f"streams open at once, at most, of {len(staged):,} looks": f"{max((one.generator.streams for one in staged), default=0):,}"}  # fmt: skip


def report_summary(result: LoadTestResult) -> dict[str, Any]:
    """The main numbers as one JSON-ready object."""
    return {
        row.name: {
            "requests": row.requests,
            "per_second": round(row.per_second, 2),
            "failed_percent": round(row.failed_percent, 3),
            **{f"p{share * 100:g}_ms": value for share, value in zip(SHARES, row.percentiles_ms, strict=True)},
        }
        for row in report_rows(result)
    }
