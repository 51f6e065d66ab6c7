"""Calls to Elasticsearch: client options, transient failures, the circuit breaker, and the errors that callers get."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from circuitbreaker import CircuitBreaker, CircuitBreakerError
from elasticsearch import ApiError, NotFoundError, TransportError
from elasticsearch.helpers import BulkIndexError
from elasticsearch.serializer import JsonSerializer, NdjsonSerializer
from pydantic_core import from_json, to_json

from app.errors import PassageRefused, SearchUnavailable
from app.settings import Settings

PASSING_STATUS: Final = frozenset({429, 502, 503, 504})  # transient: the engine is too busy or away at this moment
# Failures by the engine's state, which an operator or time resolves: wrong keys, a full disk, a missing index, load.
_STATE_STATUS: Final = frozenset({401, 403, 404, 408, 429})
# The same by error type, because some come with status 400. The service chooses the fields, so the last two errors mean that the
# alias names an index with another mapping or model.
_STATE_ERRORS: Final = (
    "cluster_block_exception", "index_closed_exception", "strict_dynamic_mapping_exception", "different number of dimensions"
)  # fmt: skip
_REFUSED_CALLS: Final = frozenset({400, 413})  # a whole bulk call is refused for one invalid item, or for its size
FAILURES_TO_OPEN: Final = 5  # failed calls in a row; with fewer, one slow garbage collection would open the breaker
OPEN_SECONDS: Final = 5  # then one call probes the engine; short, because a restart of it takes only about 20 s
HINT: Final = "See `teal status`, then `teal logs elasticsearch`."


class FastJson(JsonSerializer):
    """JSON by pydantic's core: the standard library took half of a search's CPU time for
    answers, and a tenth for a query's vector."""

    mimetype = "application/vnd.elasticsearch+json"

    def json_dumps(self, data: Any) -> bytes:
        return to_json(data)

    def json_loads(self, data: str | bytes) -> Any:
        return from_json(data)


class FastLines(FastJson, NdjsonSerializer):
    """The same serializer for newline-delimited JSON (`_msearch`, `_bulk`)."""

    mimetype = "application/vnd.elasticsearch+x-ndjson"


def client_options(settings: Settings, *, timeout_seconds: float) -> dict[str, Any]:
    """Keyword arguments of both clients. The client's retries are off: the service retries
    itself, under one deadline for all tries."""
    options: dict[str, Any] = {
        "hosts": [_with_port(settings.elasticsearch_url)],
        "request_timeout": timeout_seconds,
        "max_retries": 0,
        "retry_on_timeout": False,
    }
    if settings.elasticsearch_api_key:
        options["api_key"] = settings.elasticsearch_api_key.get_secret_value()
    elif settings.elasticsearch_username and settings.elasticsearch_password:
        options["basic_auth"] = (settings.elasticsearch_username, settings.elasticsearch_password.get_secret_value())
    if settings.elasticsearch_ca:
        options["ca_certs"] = str(settings.elasticsearch_ca)
    return options


def _with_port(url: str) -> str:
    """The URL with its scheme's default port if it has none, because the client refuses a URL without a port."""
    parts = urlsplit(url)
    return url if parts.port else urlunsplit(parts._replace(netloc=f"{parts.netloc}:{443 if parts.scheme == 'https' else 80}"))


def is_transient(error: Exception) -> bool:
    """Whether the same call may succeed soon: there was no connection, no answer in time,
    or the engine reported that it is busy."""
    if isinstance(error, ApiError):
        return error.status_code in PASSING_STATUS
    return isinstance(error, TransportError)


def breaker(name: str) -> CircuitBreaker:
    """A circuit breaker that counts only transient failures; a request that the engine refuses says nothing about its health."""
    return CircuitBreaker(
        FAILURES_TO_OPEN,
        OPEN_SECONDS,
        expected_exception=lambda kind, error: isinstance(error, Exception) and is_transient(error),
        name=name,
    )


@contextmanager
def map_client_errors(url: str, index: str) -> Iterator[None]:
    """A context that turns every error of the client into `SearchUnavailable`."""
    try:
        yield
    except CircuitBreakerError as error:
        text = f"Elasticsearch at {url} failed {FAILURES_TO_OPEN} times in a row; calls pause for up to {OPEN_SECONDS} s. {HINT}"
        raise SearchUnavailable(text, retry_after_seconds=OPEN_SECONDS) from error
    except NotFoundError as error:
        raise SearchUnavailable(
            f"Elasticsearch at {url} has no index {index} yet: a worker makes it when it starts. {HINT}"
        ) from error
    except ApiError as error:
        raise SearchUnavailable(
            f"Elasticsearch at {url} refused a call on {index} with {error.status_code}: {error.message}. {HINT}"
        ) from error
    except TransportError as error:
        raise SearchUnavailable(f"Elasticsearch at {url} does not answer: {type(error).__name__}. {HINT}") from error
    except BulkIndexError as error:
        raise SearchUnavailable(
            f"Elasticsearch at {url} did not take every passage of {index}: {first_failure(error.errors)} {HINT}"
        ) from error


@contextmanager
def map_refused_writes(index: str) -> Iterator[None]:
    """A context that turns a permanently refused write into `PassageRefused`; to be used inside `map_client_errors`."""
    try:
        yield
    except BulkIndexError as error:
        if not all(_is_refusal(item) for failure in error.errors for item in failure.values()):
            raise
        raise PassageRefused(f"Elasticsearch cannot take a passage into {index}: {first_failure(error.errors)}") from error
    except ApiError as error:
        if error.status_code not in _REFUSED_CALLS:
            raise
        raise PassageRefused(f"Elasticsearch refuses passages of {index} with {error.status_code}: {error.message}.") from error


def _is_refusal(item: dict[str, Any]) -> bool:
    """Whether a failed item failed by its own content, and not by the state of the engine, its index or its keys."""
    problem = str(item.get("error"))
    if any(words in problem for words in _STATE_ERRORS):
        return False
    return 400 <= item["status"] < 500 and item["status"] not in _STATE_STATUS


def first_failure(errors: Any) -> str:
    """A message with the first failed item of a bulk call and the number of failed items."""
    ((operation, item),) = errors[0].items()
    problem = item.get("error") or item.get("exception") or "no reason given"
    reason = f"{problem.get('type')}: {problem.get('reason')}" if isinstance(problem, dict) else str(problem)
    return f"{operation} of {item.get('_id')} failed with {item.get('status')}, {reason} ({len(errors)} failed)."
