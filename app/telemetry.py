"""Logs, metrics and error reports: what each process says about itself."""

from __future__ import annotations

import functools
import logging
import logging.handlers
import re
import sys
from contextvars import ContextVar
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from pythonjsonlogger.json import JsonFormatter

from app import tracing
from app.settings import Settings

request_id: ContextVar[str] = ContextVar("request_id", default="-")

_LATENCY_BUCKETS_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LAG_BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_LOG_FILE_BYTES: Final = 20_000_000  # five of these are kept: 100 MB a process is a day of busy traffic
_LOG_FILES_KEPT: Final = 5

_KEY: Final = re.compile(r"teal_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")  # as app/catalog/keys.py makes them

REQUESTS: Final = Counter("teal_http_requests_total", "Answered requests", ("method", "route", "status"))
LATENCY: Final = Histogram(
    "teal_http_request_seconds", "Time to the end of the answer", ("route",), buckets=_LATENCY_BUCKETS_SECONDS
)
FIRST_EVENT: Final = Histogram(
    "teal_ask_first_event_seconds", "Time to the first streamed event", buckets=_LATENCY_BUCKETS_SECONDS
)
FIRST_TOKEN: Final = Histogram(
    "teal_model_first_token_seconds",
    "Time to a language model's first piece of text",
    ("provider",),
    buckets=_LATENCY_BUCKETS_SECONDS,
)
TOKENS: Final = Counter(
    "teal_model_tokens_total", "Tokens that a language model read and wrote, by its own count", ("provider", "kind")
)
RETRIEVAL_SECONDS: Final = Histogram(
    "teal_retrieval_seconds", "Time of one search of the index, the query's vector included", buckets=_LATENCY_BUCKETS_SECONDS
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
MODEL_CALLS: Final = Counter("teal_model_calls_total", "Calls to a model provider", ("provider",))
MODEL_LIMITED: Final = Counter("teal_model_rate_limited_total", "Calls that the provider refused as too many", ("provider",))
EMPTY: Final = Counter("teal_retrieval_empty_total", "Searches that found nothing", ("mode",))
DEGRADED: Final = Counter("teal_retrieval_degraded_total", "Searches by words alone because no vector could be made")
PROVIDER_ERRORS: Final = Counter("teal_model_errors_total", "Failed calls to a model provider", ("provider",))
CLAIMS: Final = Counter("teal_claims_total", "Sentences that a writer wrote, those left out included")
DROPPED_CLAIMS: Final = Counter("teal_dropped_claims_total", "Generated sentences left out because they cited no source")
QUOTA_REFUSALS: Final = Counter("teal_quota_refusals_total", "Requests refused because a key's quota was used up", ("kind",))
KEY_ENDS: Final = Gauge("teal_key_ends_timestamp_seconds", "When a key that ends soon ends; no other key is here", ("key_id",))
UP: Final = Gauge("teal_part_up", "1 when the part behind the service answers", ("part",))
BUILD: Final = Gauge("teal_build_info", "Always 1", ("release", "color", "environment"))


@functools.lru_cache(
    maxsize=1024
)  # as many label values as the metrics may have at all; finding the child each time takes a lock
def counter(metric: Counter, *labels: str) -> Counter:
    """The child of `metric` for these label values."""
    return metric.labels(*labels)


@functools.lru_cache(maxsize=1024)
def histogram(metric: Histogram, *labels: str) -> Histogram:
    """The child of `metric` for these label values."""
    return metric.labels(*labels)


class _Context(logging.Filter):
    """Adds what ties log, metric and trace together to every record."""

    def __init__(self, settings: Settings, part: str) -> None:
        super().__init__()
        self._fields = {"release": settings.release_id, "color": settings.color, "part": part, "slot": settings.slot}
        self._tracing = settings.otlp_endpoint is not None

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        record.__dict__.update(self._fields)
        if self._tracing and (trace_id := tracing.trace_id()):
            record.trace_id = trace_id
        return True


class _WithoutKeys(JsonFormatter):
    """Whatever is logged, no API key is in the line: people put keys into addresses, and addresses into logs."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return _KEY.sub("REDACTED", line) if "teal_" in line else line


class _Rotating(logging.handlers.RotatingFileHandler):
    """The stock one writes each line twice, once to see how long it is, and asks the file system about its file: half of its time."""

    def shouldRollover(self, _: logging.LogRecord) -> bool:
        return self.stream is not None and self.stream.tell() >= self.maxBytes


def json_lines() -> logging.Formatter:
    """One JSON object a line; what a caller gives as `extra` is a field."""
    return _WithoutKeys(
        "{asctime}{levelname}{name}{message}{request_id}{part}{release}{color}",
        style="{",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
    )


def context(settings: Settings, part: str) -> logging.Filter:
    """Adds request, release, color, part and slot to every line."""
    return _Context(settings, part)


def configure(settings: Settings, part: str) -> None:
    """Send all logs as JSON lines to `<log_dir>/<part>.log` (rotating) or standard output, and errors to Sentry if set."""
    handler: logging.Handler
    if settings.log_dir is None:
        handler = logging.StreamHandler(sys.stdout)
    else:
        settings.log_dir.mkdir(parents=True, exist_ok=True)
        handler = _Rotating(
            settings.log_dir / f"{part}.log", maxBytes=_LOG_FILE_BYTES, backupCount=_LOG_FILES_KEPT, encoding="utf-8"
        )
    handler.setFormatter(json_lines())
    handler.addFilter(context(settings, part))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    for noisy in ("httpx", "elastic_transport", "dbos", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if settings.sentry_dsn is not None:
        import sentry_sdk

        sentry_sdk.init(
            dsn=settings.sentry_dsn.get_secret_value(),
            environment=settings.environment,
            release=settings.release_id,
            send_default_pii=False,  # keys and questions stay here
        )
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a moment beside each counter: nobody asks for them, and AWS bills each sample
    BUILD.labels(settings.release_id, settings.color, settings.environment).set(1)
