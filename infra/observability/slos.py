"""The service's objectives as data: four objectives, and how fast each may spend its error budget before an alert fires.

An objective counts good and bad events. Its budget is the share of events that may be bad in 30 days. Windows and burn rates are those
of Google's Site Reliability Workbook, chapter 5, table 5-8, "Recommended parameters for an SLO-based alerting configuration": the long
window says that it matters, the short one (a twelfth) that it still goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

# Name of the recorded series of each window and objective, after Prometheus' convention level:metric:operation
RATIO: Final = "slo:bad_events:ratio_rate"
_MACHINES: Final = "/healthz|/readyz|/metrics"  # not requested by users, nor is `unmatched`, the route of unknown addresses
_LE_SECOND: Final = r'le=~"1(\\.0)?"'  # Prometheus 2 keeps "1.0" as the service wrote it, 3 rewrites what it reads
_LE_FIVE_MINUTES: Final = r'le=~"300(\\.0)?"'


@dataclass(frozen=True)
class Burn:
    """One row of the workbook's table: spending `budget_percent` of the month's budget within `long` is a burn rate of `rate`."""

    long: str
    short: str
    rate: float
    budget_percent: int
    severity: Literal["page", "ticket"]


BURNS: Final = (Burn("1h", "5m", 14.4, 2, "page"), Burn("6h", "30m", 6, 5, "page"), Burn("3d", "6h", 1, 10, "ticket"))
WINDOWS: Final = ("5m", "30m", "1h", "6h", "3d")


@dataclass(frozen=True)
class Slo:
    """One objective. `bad` and `events` are PromQL rates in which `{window}` stands for a window; both always have a value while
    any process reports. `wakes`: whether its fast burns wake a person.
    `least_events`: with fewer in the long window, one bad event would be a burn."""

    name: str
    objective_percent: float
    promise: str
    bad: str
    events: str
    runbook: str
    wakes: bool
    least_events: int = 20

    @property
    def budget(self) -> float:
        """Share of events that may be bad."""
        return 1 - self.objective_percent / 100

    @property
    def burns(self) -> tuple[Burn, ...]:
        """The rows that apply. An objective that wakes nobody does not use the one-hour window."""
        return BURNS if self.wakes else BURNS[1:]

    def ratio(self, window: str) -> str:
        """PromQL of the share of bad events over a window."""
        return f"({self._over(self.bad, window)}) / (({self._over(self.events, window)}) > 0)"

    def burning(self, burn: Burn) -> str:
        """PromQL in which `{threshold}` stands for the share of bad events that is too much in both windows."""
        long, short = (f'{RATIO}{window}{{slo="{self.name}"}}' for window in (burn.long, burn.short))
        enough = f"{self._over(self.events, burn.long).replace('rate(', 'increase(')} >= {self.least_events}"
        return f"{long} > {{threshold}} and {short} > {{threshold}} and on () ({enough})"

    @staticmethod
    def _over(expression: str, window: str) -> str:
        return expression.replace("{window}", window)


SLOS: Final = (
    Slo(
        "availability", 99.9, "requests are answered without a 5xx, and streams end whole",
        f'(sum(rate(teal_http_requests_total{{status=~"5..",route!~"{_MACHINES}"}}[{{window}}])) or vector(0))'
        " + (sum(rate(teal_streams_broken_total[{window}])) or vector(0))",
        f'sum(rate(teal_http_requests_total{{route!~"{_MACHINES}|unmatched"}}[{{window}}]))', "error-rate", wakes=True,
    ),
    Slo(
        "latency", 99, "searches are answered within 1 s",
        'sum(rate(teal_http_request_seconds_count{route="/v1/search"}[{window}]))'
        f' - sum(rate(teal_http_request_seconds_bucket{{route="/v1/search",{_LE_SECOND}}}[{{window}}]))',
        'sum(rate(teal_http_request_seconds_count{route="/v1/search"}[{window}]))', "slow-answers", wakes=True,
    ),
    # Only documents that could be searched at the first try.
    # The alert `QueueOld` covers those that wait for ever, `DocumentsFail` unreadable ones.
    Slo(
        "freshness", 95, "documents are findable within 5 min of their acceptance",
        "sum(rate(teal_ingest_freshness_seconds_count[{window}]))"
        f" - sum(rate(teal_ingest_freshness_seconds_bucket{{{_LE_FIVE_MINUTES}}}[{{window}}]))",
        "sum(rate(teal_ingest_freshness_seconds_count[{window}]))", "ingest-backlog", wakes=False,
    ),
    Slo(
        "groundedness", 95, "sentences that a writer wrote cite a passage that exists; the others are dropped, so no reader sees them",
        "sum(rate(teal_dropped_claims_total[{window}]))",
        "sum(rate(teal_claims_total[{window}]))", "ungrounded-answers", wakes=False,
    ),
)  # fmt: skip


def recording_rules(windows: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rules that record every objective's share of bad events over each of these windows, so that alerts and dashboards ask cheaply."""
    return [
        {"record": f"{RATIO}{window}", "expr": slo.ratio(window), "labels": {"slo": slo.name}}
        for window in windows
        for slo in SLOS
    ]
