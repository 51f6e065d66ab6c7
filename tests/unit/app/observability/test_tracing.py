"""Tracing that is off: nothing is loaded, nothing recorded; and the share of requests is the operator's, not the caller's."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
from pydantic import SecretStr

from app.observability import tracing
from app.settings import Settings


def caller(*, sampled: bool) -> trace.Context:  # type: ignore[name-defined]
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return set_span_in_context(NonRecordingSpan(SpanContext(2**127, 1, is_remote=True, trace_flags=flags)))


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize(("share", "expected"), [(0.0, Decision.DROP), (1.0, Decision.RECORD_AND_SAMPLE)])
def test_a_caller_decides_nothing_about_what_is_recorded(share: float, expected: Decision, sampled: bool) -> None:
    sampler = tracing.sampler(share, "app")
    assert sampler.should_sample(caller(sampled=sampled), 2**127, "POST /v1/search").decision is expected


@pytest.mark.parametrize(("sampled", "expected"), [(True, Decision.RECORD_AND_SAMPLE), (False, Decision.DROP)])
def test_a_job_is_recorded_if_its_request_was(sampled: bool, expected: Decision) -> None:
    sampler = tracing.sampler(0.0 if sampled else 1.0, "worker")
    assert sampler.should_sample(caller(sampled=sampled), 2**127, "ingest").decision is expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("authorization=Bearer a=b, x-scope=teal", {"authorization": "Bearer a=b", "x-scope": "teal"}),
        ("", {}),
        ("nothing", {}),
    ],
)
def test_headers_for_the_collector(given: str, expected: dict[str, str]) -> None:
    assert tracing.headers(Settings(otlp_headers=SecretStr(given))) == expected
