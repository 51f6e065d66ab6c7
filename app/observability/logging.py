"""Logging as JSON lines that carry request and trace ids and never an API key; errors
also go to Sentry where it is configured."""

from __future__ import annotations

import logging
import logging.handlers
import re
import sys
from contextvars import ContextVar
from typing import Final

from pythonjsonlogger.json import JsonFormatter

from app.observability import tracing
from app.settings import Settings

request_id: ContextVar[str] = ContextVar("request_id", default="-")

LOG_FILE_BYTES: Final = 20_000_000  # five of these are kept: 100 MB a process is a day of busy traffic
_LOG_FILES_KEPT: Final = 5

_KEY: Final = re.compile(r"teal_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")  # as app/catalog/keys.py makes them


class _Context(logging.Filter):
    """Adds the fields that connect logs, metrics and traces to every record."""

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
    """Removes API keys from every line: people put keys into URLs, and URLs get logged."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return _KEY.sub("REDACTED", line) if "teal_" in line else line


class _Rotating(logging.handlers.RotatingFileHandler):
    """A faster rotating handler: the standard one formats each line twice, once to learn its length, and queries the file
    system, which takes half of its time."""

    def shouldRollover(self, _: logging.LogRecord) -> bool:
        return self.stream is not None and self.stream.tell() >= self.maxBytes


def json_lines() -> logging.Formatter:
    """A formatter that writes one JSON object for each record; a caller's `extra` values become fields."""
    return _WithoutKeys(
        "{asctime}{levelname}{name}{message}{request_id}{part}{release}{color}",
        style="{",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
    )


def context(settings: Settings, part: str) -> logging.Filter:
    """A filter that adds request, release, color, part and slot to every record."""
    return _Context(settings, part)


def configure_logging(settings: Settings, part: str) -> None:
    """Send all logs as JSON lines to `<log_dir>/<part>.log` (rotating) or standard output, and errors to Sentry if set."""
    handler: logging.Handler
    if settings.log_dir is None:
        handler = logging.StreamHandler(sys.stdout)
    else:
        settings.log_dir.mkdir(parents=True, exist_ok=True)
        handler = _Rotating(
            settings.log_dir / f"{part}.log", maxBytes=LOG_FILE_BYTES, backupCount=_LOG_FILES_KEPT, encoding="utf-8"
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
            send_default_pii=False,  # keys and questions are not sent to Sentry
        )
