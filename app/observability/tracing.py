"""OpenTelemetry tracing, sent by OTLP over HTTP to OTEL_EXPORTER_OTLP_ENDPOINT. Without an
endpoint nothing is loaded, recorded or sent.

Spans come from Redis's instrumentation, from elasticsearch-py, from DBOS and from this module: it makes those of requests, and
those of calls to models, which follow the semantic conventions for generative AI (opentelemetry.io, "Semantic conventions for
generative client AI spans"). No span carries a question, a passage or an answer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.sampling import Sampler

_ELASTICSEARCH_SWITCH: Final = "OTEL_PYTHON_INSTRUMENTATION_ELASTICSEARCH_ENABLED"  # read by each new client of elasticsearch-py
_STOP_MILLISECONDS: Final = 2_000  # an unreachable collector must not delay the end of the process
_TRACER: Final = "teal"
_CARRIED: Final = ("traceparent", "tracestate")
_BEGINNINGS: Final = frozenset({"ingest", "remove", "group commit"})  # root spans of the worker: jobs, and writes for many jobs
_recording = False  # set once by `configure_tracing`; OpenTelemetry's own no-op spans take ten times as long
_PROVIDERS: Final = {"bedrock": "aws.bedrock"}  # names of the conventions; `openai` is one of them, and other names are free


def configure_tracing(settings: Settings, part: str) -> bool:
    """Start tracing this process if the settings name an endpoint; returns whether they do.
    Must be called before any client is made."""
    if settings.otlp_endpoint is None:
        # Unrecorded spans still cost 15 us for each call (measured: 19 us with, 5 us without), and a search makes two calls.
        os.environ.setdefault(_ELASTICSEARCH_SWITCH, "false")
        return False
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.redis import RedisInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    global _recording
    provider = TracerProvider(resource=_resource(settings, part), sampler=sampler(settings.trace_share, part))
    exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", headers=headers(settings))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    RedisInstrumentor().instrument()
    _recording = True
    return True


def flush_traces() -> None:
    """Send the recorded spans; for processes that end without Python's exit handlers."""
    flush = getattr(trace.get_tracer_provider(), "force_flush", None)
    if flush is not None:
        flush(_STOP_MILLISECONDS)


def trace_id() -> str | None:
    """The trace id of the current span, as 32 hexadecimal digits; None without a span."""
    found = trace.get_current_span().get_span_context()
    return trace.format_trace_id(found.trace_id) if found.is_valid else None


class RequestSpan:
    """The server span of one request; it is the current span until `end`. The ready-made instrumentations do not fit: the busiest
    routes bypass FastAPI's, and ASGI's ends its span before route, status and request id are known."""

    def __init__(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        given = {name: headers[name.encode()].decode("latin-1") for name in _CARRIED if name.encode() in headers}
        self._method = method
        self._span = trace.get_tracer(_TRACER).start_span(
            method,
            context=TraceContextTextMapPropagator().extract(given),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method},
        )
        self._token = attach(trace.set_span_in_context(self._span))

    def end(self, route: str, status: int, request_id: str) -> dict[str, str] | None:
        """End the span. `route` is the pattern, never the request's own path. Returns the labels of an exemplar, which connects a
        measured time to this span, or None when the span is not recorded."""
        detach(self._token)
        if not self._span.is_recording():
            return None
        self._span.update_name(f"{self._method} {route}")
        self._span.set_attributes({"http.route": route, "http.response.status_code": status, "teal.request_id": request_id})
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()
        return {"trace_id": trace.format_trace_id(self._span.get_span_context().trace_id), "request_id": request_id}


@contextmanager
def span(name: str, attributes: Mapping[str, str | int] | None = None, links: Sequence[SpanContext] = ()) -> Iterator[Span]:
    """A span around a piece of the service's own work; `links` are the spans on whose behalf the work is done."""
    if not _recording:
        yield trace.INVALID_SPAN
        return
    linked = [Link(one) for one in links if one.is_valid]
    with trace.get_tracer(_TRACER).start_as_current_span(name, attributes=attributes, links=linked) as begun:
        yield begun


def current_span_context() -> SpanContext:
    """The context of the current span, for links to it."""
    return trace.get_current_span().get_span_context()


def context_to_store() -> Context | None:
    """The trace context to store with a job, so that its worker continues this trace; None when this process does not trace."""
    return get_current() if current_span_context().is_valid else None


class ModelCall:
    """A context manager for the span of one call to a model. A failure is recorded by the class of its exception.

    The span is never the current one, because different tasks may resume the stream of an answer.
    """

    def __init__(self, operation: str, provider: str, model: str, attributes: Mapping[str, str | int] | None = None) -> None:
        self._span = trace.get_tracer(_TRACER).start_span(
            f"{operation} {model}",
            kind=SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": operation,
                "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
                "gen_ai.request.model": model,
                **(attributes or {}),
            },
        )

    def note(self, name: str, value: str | int | float | Sequence[str]) -> None:
        """Add an attribute to the span."""
        self._span.set_attribute(name, value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: object) -> None:
        if kind is not None and issubclass(kind, Exception):  # a reader that left and a process that ends are not failures
            self._span.set_attribute("error.type", kind.__qualname__)
            self._span.set_status(Status(StatusCode.ERROR))  # without the error's message, which may quote the question
        self._span.end()


def _resource(settings: Settings, part: str) -> Any:
    from opentelemetry.sdk.resources import Resource

    return Resource.create(
        {
            "service.name": f"teal-{part}",
            "service.version": settings.release_id,
            "service.instance.id": f"{settings.color}-{settings.slot}",
            "deployment.environment.name": settings.environment,
            "teal.color": settings.color,
        }
    )


def sampler(share: float, part: str) -> Sampler:
    """A sampler that records a share of the requests, whatever `traceparent` a caller sends. A job is recorded when its request
    was. The probes that processes send every second start no trace."""
    from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult, TraceIdRatioBased

    chosen = TraceIdRatioBased(share)

    class Beginnings(Sampler):
        def should_sample(
            self, parent_context: Context | None, trace_id: int, name: str, kind: SpanKind | None = None, *more: Any, **named: Any
        ) -> SamplingResult:
            if kind is SpanKind.SERVER or name in _BEGINNINGS:
                return chosen.should_sample(parent_context, trace_id, name, kind, *more, **named)
            return SamplingResult(Decision.DROP)

        def get_description(self) -> str:
            return f"Beginnings({chosen.get_description()})"

    if part == "worker":
        return ParentBased(root=Beginnings())
    return ParentBased(root=Beginnings(), remote_parent_sampled=chosen, remote_parent_not_sampled=chosen)


def headers(settings: Settings) -> dict[str, str]:
    """The headers for the collector, parsed from OTEL_EXPORTER_OTLP_HEADERS (`name=value,name=value`)."""
    given = settings.otlp_headers.get_secret_value() if settings.otlp_headers else ""
    return {name.strip(): value.strip() for name, sign, value in (pair.partition("=") for pair in given.split(",")) if sign}
