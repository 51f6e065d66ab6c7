"""How each number about users is read, from a process's /metrics page or by a query to Prometheus.
Both are defined together, so that they cannot differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from re import fullmatch
from typing import Final, Protocol

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

SLOW_SECONDS: Final = 1.0  # the service's promise for a search or an answer without a model
BUCKETS_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # as in app/observability/metrics.py  # fmt: skip
MACHINES: Final = frozenset({"/healthz", "/readyz", "/metrics"})  # asked by machines, not by users
UNMATCHED: Final = "unmatched"  # the route of unknown addresses, and of failures before routing

Page = Mapping[str, Metric]  # one process's metrics by family, without requests that only machines make


class CounterReader(Protocol):
    """How one number is read from metrics."""

    @property
    def series(self) -> str:
        """The name of the metric's family, without `_total`."""
        ...

    def of(self, page: Page, slow_seconds: float) -> float | None:
        """The number from one process's page; None when the process does not have the metric."""
        ...

    def promql(self, selector: str, window: str) -> str:
        """A PromQL query for the same number, over all series that `selector` matches, such as `namespace="teal-blue"`, and that had a
        value in the last `window`, such as `90000ms`."""
        ...

    @property
    def lazy(self) -> bool:
        """Whether the metric has labels and so no series before its first count: a missing series in Prometheus then means 0."""
        ...


@dataclass(frozen=True, slots=True)
class CounterTotal:
    """The sum of a counter over the series whose labels fully match the regular expressions in `match`. `routes`: the counter has
    a route label, and requests that only machines make are left out."""

    series: str
    match: Mapping[str, str] = field(default_factory=dict)
    routes: bool = False
    lazy: bool = False

    def of(self, page: Page, slow_seconds: float) -> float | None:
        if self.series not in page:
            return None
        return sum(sample.value for sample in page[self.series].samples if self._counts(sample))

    def promql(self, selector: str, window: str) -> str:
        own = _matchers(self.match)
        if not self.routes:
            return _sum(f"{self.series}_total", window, [selector, *own])
        failed_before_routing = [selector, f'route="{UNMATCHED}"', 'status=~"5.."', *own]
        return _sum(f"{self.series}_total", window, [_people(selector), *own], failed_before_routing)

    def _counts(self, sample: Sample) -> bool:
        return sample.name == f"{self.series}_total" and _matches(sample, self.match)


@dataclass(frozen=True, slots=True)
class SlowerThan:
    """How many observations of a histogram with a route label were slower than the promised time,
    rounded up to a bucket. `match`: as in `CounterTotal`."""

    series: str
    match: Mapping[str, str] = field(default_factory=dict)
    lazy: bool = True

    def of(self, page: Page, slow_seconds: float) -> float | None:
        if self.series not in page:
            return None
        bound = min((edge for edge in BUCKETS_SECONDS if edge >= slow_seconds), default=BUCKETS_SECONDS[-1])
        timed = within = 0.0
        for sample in page[self.series].samples:
            if not _matches(sample, self.match):
                continue
            if sample.name == f"{self.series}_count":
                timed += sample.value
            elif sample.name == f"{self.series}_bucket" and sample.labels["le"] != "+Inf" and float(sample.labels["le"]) == bound:
                within += sample.value
        return timed - within

    def promql(self, selector: str, window: str) -> str:
        # Prometheus 2 keeps the label "1.0" as the service wrote it; Prometheus 3 rewrites it.
        bound = rf'le=~"{SLOW_SECONDS:g}(\\.0)?"'
        people = [_people(selector), *_matchers(self.match)]
        return f"{_sum(f'{self.series}_count', window, people)} - {_sum(f'{self.series}_bucket', window, [*people, bound])}"


def people_only(families: Iterable[Metric]) -> Page:
    """One process's metrics without requests that only machines make: health probes,
    and unknown addresses unless the answer was a 5xx."""
    found: dict[str, Metric] = {}
    for family in families:
        kept = Metric(family.name, family.documentation, family.type)
        kept.samples = [sample for sample in family.samples if _by_users(sample)]
        found[family.name] = kept
    return found


def _by_users(sample: Sample) -> bool:
    route = sample.labels.get("route")
    return route not in MACHINES and (route != UNMATCHED or sample.labels.get("status", "").startswith("5"))


def _people(selector: str) -> str:
    return f'{selector},route!~"{"|".join(sorted(MACHINES | {UNMATCHED}))}"'


def _matches(sample: Sample, match: Mapping[str, str]) -> bool:
    return all(fullmatch(value, sample.labels.get(label, "")) for label, value in match.items())


def _matchers(match: Mapping[str, str]) -> list[str]:
    return [f'{label}=~"{value}"' for label, value in match.items()]


def _sum(series: str, window: str, *alternatives: list[str]) -> str:
    """The sum of what each series counted, over those that match all matchers of one alternative. `max_over_time` keeps the counts of
    ended pods; `increase` would miss the first count of every new label set, such as a release's first error."""
    held = (f"max_over_time({series}{{{','.join(matchers)}}}[{window}])" for matchers in alternatives)
    return f"sum({' or '.join(held)})"
