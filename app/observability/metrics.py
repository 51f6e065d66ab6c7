"""The Prometheus metrics of the service. Metrics that only the worker writes are defined beside the code that writes them."""

from __future__ import annotations

import functools
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from app.settings import Settings

LATENCY_BUCKETS_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LAG_BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

REQUESTS: Final = Counter(
    "teal_http_requests_total", "Answered requests, by users or by a releaser's probes", ("method", "route", "status", "by")
)
LATENCY: Final = Histogram(
    "teal_http_request_seconds", "Time to the end of the answer", ("route", "by"), buckets=LATENCY_BUCKETS_SECONDS
)
FIRST_EVENT: Final = Histogram(
    "teal_ask_first_event_seconds", "Time to the first streamed event", buckets=LATENCY_BUCKETS_SECONDS
)
FIRST_TOKEN: Final = Histogram(
    "teal_model_first_token_seconds",
    "Time to a language model's first piece of text",
    ("provider",),
    buckets=LATENCY_BUCKETS_SECONDS,
)
TOKENS: Final = Counter(
    "teal_model_tokens_total", "Tokens that a language model read and wrote, by its own count", ("provider", "kind")
)
RETRIEVAL_SECONDS: Final = Histogram(
    "teal_retrieval_seconds", "Time of one search of the index, the query's vector included", buckets=LATENCY_BUCKETS_SECONDS
)
RETRIEVED: Final = Counter("teal_retrieved_passages_total", "Passages found by searches of the index")
LOOP_LAG: Final = Histogram(
    "teal_event_loop_lag_seconds",
    "How late the event loop came to a timer: how busy the process is",
    buckets=_LAG_BUCKETS_SECONDS,
)
CACHE_BYTES: Final = Gauge("teal_cache_local_bytes", "Answers kept in the process's own cache")
STREAMS: Final = Gauge("teal_open_streams", "Streams being sent now")
CACHE: Final = Counter("teal_cache_lookups_total", "Cache lookups by outcome", ("kind", "outcome"))
CACHE_ERRORS: Final = Counter("teal_cache_errors_total", "Redis calls that failed; the request went on without")
ANSWERS: Final = Counter("teal_answers_total", "Answers given", ("label", "grounded"))
RETRIEVALS: Final = Counter("teal_retrievals_total", "Searches of the index, those for answers included")
STREAMS_BEGUN: Final = Counter("teal_streams_total", "Streamed answers begun")
STREAMS_BROKEN: Final = Counter("teal_streams_broken_total", "Streamed answers that failed on our side before their end")
STREAMS_UNFINISHED: Final = Counter(
    "teal_streams_unfinished_total", "Streamed answers that ended without `done`, for whatever reason"
)
MODEL_CALLS: Final = Counter("teal_model_calls_total", "Calls to a model provider", ("provider",))
MODEL_LIMITED: Final = Counter("teal_model_rate_limited_total", "Calls that the provider refused as too many", ("provider",))
EMPTY: Final = Counter("teal_retrieval_empty_total", "Searches that found nothing", ("mode",))
DEGRADED: Final = Counter("teal_retrieval_degraded_total", "Searches by words alone because no vector could be made")
PROVIDER_ERRORS: Final = Counter("teal_model_errors_total", "Failed calls to a model provider", ("provider",))
CLAIMS: Final = Counter("teal_claims_total", "Sentences that a writer wrote, those left out included")
DROPPED_CLAIMS: Final = Counter("teal_dropped_claims_total", "Generated sentences left out because they cited no source")
QUOTA_REFUSALS: Final = Counter("teal_quota_refusals_total", "Requests refused because a key's quota was used up", ("kind",))
HEDGES: Final = Counter(
    "teal_search_hedges_total", "Second requests to Elasticsearch beside a first one that had no answer for a quarter of its time"
)
KEY_ENDS: Final = Gauge("teal_key_ends_timestamp_seconds", "When a key that ends soon ends; no other key is here", ("key_id",))
UP: Final = Gauge("teal_part_up", "1 when the part behind the service answers", ("part",))
BUILD: Final = Gauge("teal_build_info", "Always 1", ("release", "color", "environment"))


# Cached because Prometheus's client takes a lock at each look-up of a child. 1,024: the most label
# combinations that all metrics may have.
@functools.lru_cache(maxsize=1024)
def counter(metric: Counter, *labels: str) -> Counter:
    """The child of `metric` for these label values."""
    return metric.labels(*labels)


@functools.lru_cache(maxsize=1024)
def histogram(metric: Histogram, *labels: str) -> Histogram:
    """The child of `metric` for these label values."""
    return metric.labels(*labels)


def configure_metrics(settings: Settings) -> None:
    """Set `teal_build_info`, which says the release, color and environment of this process."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # time stamps of counters: unused, and AWS bills each sample
    BUILD.labels(settings.release_id, settings.color, settings.environment).set(1)
