"""Tracing that is off: nothing is loaded, nothing recorded; and the share of requests is the operator's, not the caller's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
from pydantic import SecretStr

from app import tracing
from app.settings import Settings

_LOOK = """
import os, sys
from app import tracing
from app.settings import Settings
assert tracing.configure(Settings(), "app") is False
with tracing.step("anything") as span:
    assert not span.is_recording()
assert tracing.carried() is None and tracing.trace_id() is None
assert not [name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]
assert os.environ["OTEL_PYTHON_INSTRUMENTATION_ELASTICSEARCH_ENABLED"] == "false"
"""


def test_without_an_endpoint_nothing_is_loaded_or_recorded() -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "TEAL_"))}
    ended = subprocess.run([sys.executable, "-c", _LOOK], env=kept, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def caller(*, sampled: bool) -> trace.Context:  # type: ignore[name-defined]
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return set_span_in_context(NonRecordingSpan(SpanContext(2**127, 1, is_remote=True, trace_flags=flags)))


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize(("share", "expected"), [(0.0, Decision.DROP), (1.0, Decision.RECORD_AND_SAMPLE)])
def test_a_caller_decides_nothing_about_what_is_recorded(share: float, expected: Decision, sampled: bool) -> None:
    sampler = tracing._sampler(share, "app")
    assert sampler.should_sample(caller(sampled=sampled), 2**127, "POST /v1/search").decision is expected


@pytest.mark.parametrize(("sampled", "expected"), [(True, Decision.RECORD_AND_SAMPLE), (False, Decision.DROP)])
def test_a_job_is_recorded_if_its_request_was(sampled: bool, expected: Decision) -> None:
    sampler = tracing._sampler(0.0 if sampled else 1.0, "worker")
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
    assert tracing._headers(Settings(otlp_headers=SecretStr(given))) == expected
