"""Tracing that is off: nothing is loaded, nothing recorded; and the share of requests is the operator's, not the caller's."""

from __future__ import annotations

import os
import subprocess
import sys

_LOOK = """
import os, sys
from app.observability import tracing
from app.settings import Settings
assert tracing.configure_tracing(Settings(), "app") is False
with tracing.span("anything") as span:
    assert not span.is_recording()
assert tracing.context_to_store() is None and tracing.trace_id() is None
assert not [name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]
assert os.environ["OTEL_PYTHON_INSTRUMENTATION_ELASTICSEARCH_ENABLED"] == "false"
"""


def test_without_an_endpoint_nothing_is_loaded_or_recorded() -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "TEAL_"))}
    ended = subprocess.run([sys.executable, "-c", _LOOK], env=kept, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
