"""What Locust counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from locust.env import Environment
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from loadtests.generator import GatheredCounts

QUANTILES: Final = (0.5, 0.95, 0.99)


def registry(environment: Environment, gathered: GatheredCounts) -> CollectorRegistry:
    """Reads Locust's statistics at each scrape."""
    found = CollectorRegistry(auto_describe=False)
    found.register(LocustCollector(environment, gathered))
    return found


class LocustCollector:
    """Exports Locust's statistics to Prometheus, read at each scrape."""

    def __init__(self, environment: Environment, gathered: GatheredCounts) -> None:
        self._environment, self._gathered = environment, gathered

    def collect(self) -> Iterable[Metric]:
        """The metrics of the current run, or of the last one."""
        runner, known = self._environment.runner, self._gathered.now()
        requests = CounterMetricFamily("load_requests", "Requests that ended", labels=["name"])
        failures = CounterMetricFamily("load_failures", "Requests that failed", labels=["name"])
        latency = GaugeMetricFamily("load_latency_seconds", "Latency of the last ten seconds", labels=["name", "quantile"])
        for entry in list(self._environment.stats.entries.values()):
            requests.add_metric([entry.name], entry.num_requests)
            failures.add_metric([entry.name], entry.num_failures)
            for share in QUANTILES:
                found = entry.get_current_response_time_percentile(share)
                if found is not None:
                    latency.add_metric([entry.name, f"{share:g}"], found / 1000)
        yield from (requests, failures, latency)
        yield GaugeMetricFamily("load_users", "Users, or requests due a second", value=runner.user_count if runner else 0)
        yield GaugeMetricFamily("load_streams", "Open streams", value=known.streams)
        yield CounterMetricFamily("load_good_answers", "Questions answered within every limit", value=known.good)
        yield CounterMetricFamily("load_tokens", "Tokens that arrived", value=known.tokens)
        yield GaugeMetricFamily(
            "load_generator_cpu_ratio", "CPU of the busiest process of the generator", value=known.cpu_percent / 100
        )
        late = known.late_p99_ms
        if late is not None:
            yield GaugeMetricFamily(
                "load_generator_late_seconds", "p99 of the generator's own lateness in this run", value=late / 1000
            )
