"""A run as one HTML page: nothing loaded from elsewhere, no script. Every text is escaped: failures may carry what a server answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from loadtests.measured import Count, Result

_TEMPLATE: Final = Path(__file__).with_name("report.html.j2")
SHARES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Row:
    """One name of requests, and the same in the baseline, beside it."""

    name: str
    requests: int
    per_second: float
    failed_percent: float
    percentiles_ms: tuple[float | None, ...]
    before: tuple[float | None, ...] = ()
    before_failed_percent: float | None = None

    def ratio(self, number: int) -> float | None:
        """This run's percentile through the baseline's."""
        now, then = self.percentiles_ms[number], self.before[number] if self.before else None
        return now / then if now is not None and then else None


def rows(result: Result, baseline: Result | None = None) -> list[Row]:
    """Every name in alphabetical order."""
    before = baseline.totals if baseline else {}
    return [_row(name, count, result.seconds, before.get(name)) for name, count in sorted(result.totals.items())]


def _row(name: str, count: Count, seconds: float, before: Count | None) -> Row:
    def of(one: Count) -> tuple[float | None, ...]:
        return tuple(one.percentile_ms(share) for share in SHARES)

    return Row(
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


def page(result: Result, baseline: Result | None = None) -> str:
    """The whole page."""
    from loadtests.plots import plots  # matplotlib takes a second to import

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    began = datetime.fromtimestamp(result.began, UTC)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        result=result,
        baseline=baseline,
        began=f"{began:%Y-%m-%d %H:%M:%S} UTC",
        rows=rows(result, baseline),
        plots={heading: Markup(svg) for heading, svg in plots(result).items()},  # noqa: S704 - matplotlib's own, which escapes
    )


def summary(result: Result) -> dict[str, Any]:
    """The numbers in one object, for who reads JSON."""
    return {
        row.name: {
            "requests": row.requests,
            "per_second": round(row.per_second, 2),
            "failed_percent": round(row.failed_percent, 3),
            **{f"p{share * 100:g}_ms": value for share, value in zip(SHARES, row.percentiles_ms, strict=True)},
        }
        for row in rows(result)
    }
