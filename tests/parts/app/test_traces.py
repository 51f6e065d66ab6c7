"""A trace from the request through job, search engine, cache and model, received by a collector on loopback; log and metric name it too."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.parts.app.service import Service, add, until
from tests.parts.app.test_faults import LIGHTHOUSE, QUESTION, MockModel
from tests.services.http_stand_in import Handler, listening
from tests.services.redis_process import RedisProcess

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Span:
    """As it was received. `of`: attributes of the process."""

    name: str
    trace: str
    id: str
    parent: str
    links: tuple[str, ...]
    says: dict[str, Any]
    of: dict[str, Any]


@dataclass
class Collector:
    """Takes OTLP over HTTP at /v1/traces."""

    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        collector = self

        class Otlp(Handler):
            def do_POST(self) -> None:
                body = self.received()
                if self.path == "/v1/traces":
                    collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                    collector.bodies.append(body)
                self.answer()

        self._running = ExitStack()
        self.url = f"http://127.0.0.1:{self._running.enter_context(listening(Otlp))}"

    def spans(self) -> list[Span]:
        found = []
        for body in list(self.bodies):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                of = plain(resource.resource.attributes)
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        links = tuple(link.trace_id.hex() for link in span.links)
                        found.append(
                            Span(
                                span.name,
                                span.trace_id.hex(),
                                span.span_id.hex(),
                                span.parent_span_id.hex(),
                                links,
                                plain(span.attributes),
                                of,
                            )
                        )
        return found

    def close(self) -> None:
        self._running.close()


def plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, collector: Collector, redis_server: RedisProcess, elasticsearch_url: str
) -> Iterator[Service]:
    model = MockModel()
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer of-the-collector",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "TEAL_TRACE_SHARE": "1",
        "REDIS_URL": redis_server.url,
        "ELASTICSEARCH_URL": elasticsearch_url,
        "TEAL_SEARCH": "elasticsearch",
        "TEAL_INDEX": f"traces-{uuid.uuid4().hex[:8]}",
        "TEAL_EMBEDDING": "none",
        "TEAL_GENERATION": "openai",
        "TEAL_GENERATION_MODEL": "mock",
        "TEAL_OPENAI_BASE_URL": model.url,
        "TEAL_COLOR": "green",
    }
    running = Service(tmp_path_factory.mktemp("traces"), environment).start()
    with running.client("writer") as writer:
        add(writer, "Lighthouse", LIGHTHOUSE)
    yield running
    running.stop()
    model.close()


def one_trace(collector: Collector, root: str, needed: set[str]) -> list[Span]:
    """The spans of the first trace whose root has this name, once it has spans of these names."""
    found: list[Span] = []

    def whole() -> bool:
        found.clear()
        spans = collector.spans()
        for trace in [span.trace for span in spans if span.name == root]:
            these = [span for span in spans if span.trace == trace]
            if needed <= {span.name for span in these}:
                found.extend(these)
                return True
        return False

    until(f"{root} with {needed}", whole, 20)
    return found


def test_a_document_s_trace_goes_on_in_the_worker(service: Service, collector: Collector) -> None:
    spans = {span.name: span for span in one_trace(collector, "POST /v1/documents", {"ingest"})}
    request, job = spans["POST /v1/documents"], spans["ingest"]
    assert (request.of["service.name"], job.of["service.name"]) == ("teal-app", "teal-worker")
    for span in (request, job):
        assert (span.of["service.version"], span.of["teal.color"], span.of["deployment.environment.name"]) == (
            "test",
            "green",
            "laptop",
        )
    until(
        "the write that is linked to it",
        lambda: any(request.trace in span.links for span in collector.spans() if span.name == "group commit"),
    )


def test_an_answer_s_trace_shows_cache_search_and_model(service: Service, collector: Collector) -> None:
    with service.client("reader") as reader:
        answer = reader.post("/v1/ask", json={"question": QUESTION}, headers={"X-Request-Id": "request-of-this-test"})
    assert answer.json()["grounded"] is True
    spans = one_trace(collector, "POST /v1/ask", {"GET", "retrieve", "msearch", "mget", "chat mock"})
    by_name = {span.name: span for span in spans}
    root = by_name["POST /v1/ask"]
    assert (root.says["http.route"], root.says["teal.request_id"]) == ("/v1/ask", "request-of-this-test")
    assert by_name["GET"].says["db.system"] == "redis"
    assert by_name["retrieve"].says["teal.found"] == 1
    assert by_name["msearch"].says["db.system"] == "elasticsearch"
    assert by_name["msearch"].parent == by_name["retrieve"].id
    chat = by_name["chat mock"].says
    assert {name: chat[f"gen_ai.{name}"] for name in ("operation.name", "provider.name", "request.model")} == {
        "operation.name": "chat",
        "provider.name": "openai",
        "request.model": "mock",
    }
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (120, 9)
    # The log line and the metric of the same request name the same trace.
    lines = [json.loads(line) for line in (service.folder / "app-0.log").read_text().splitlines() if line.startswith("{")]
    (logged,) = [line for line in lines if line["request_id"] == "request-of-this-test" and line["message"] == "request"]
    assert (logged["trace_id"], logged["release"], logged["color"]) == (root.trace, "test", "green")
    text = httpx.get(service.peers()[0], headers={"Accept": "application/openmetrics-text; version=1.0.0"}).text
    assert f'trace_id="{root.trace}"' in text
    assert 'request_id="request-of-this-test"' in text


def test_no_span_says_what_was_asked_or_found_and_the_collector_s_token_is_sent(service: Service, collector: Collector) -> None:
    with service.client("reader") as reader:
        reader.post("/v1/search", json={"query": QUESTION})
    one_trace(collector, "POST /v1/search", {"retrieve", "msearch"})
    everything = b"".join(collector.bodies)
    for text in (QUESTION, "lighthouse of Alexandria was", "280 BC"):
        assert text.encode() not in everything
    assert {headers["authorization"] for headers in collector.headers} == {"Bearer of-the-collector"}


def test_a_caller_s_own_trace_is_kept_and_machines_questions_are_not_traced(service: Service, collector: Collector) -> None:
    trace = uuid.uuid4().hex
    with service.client("reader") as reader:
        reader.post("/v1/search", json={"query": "pharos"}, headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    until("the caller's trace", lambda: any(span.trace == trace and span.name == "POST /v1/search" for span in collector.spans()))
    assert not any("readyz" in span.name or "/metrics" in span.name for span in collector.spans())


def test_a_collector_that_is_away_costs_nobody_an_answer(tmp_path: Path) -> None:
    environment = {"TEAL_EMBEDDING": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "TEAL_TRACE_SHARE": "1"}
    lonely = Service(tmp_path, environment).start()
    try:
        with lonely.client("reader") as reader:
            assert reader.post("/v1/search", json={"query": "anything"}).status_code == 200
    finally:
        lonely.stop()
