"""Counts asked of a Prometheus: the same numbers as asking the processes, by a transport that evaluates the queries we send."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from urllib.parse import parse_qs

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from prometheus_client.parser import text_string_to_metric_families

from teal.errors import OperatorError
from teal.metrics.counters import CounterTotal
from teal.metrics.gates import GATES, Counter, Gate, counters
from teal.metrics.prometheus import LOOK_BACK_SECONDS, PrometheusMetrics, SigV4
from teal.metrics.scrape import NobodyAnswers, counts_on_page
from teal.ports.metrics import Counts
from teal.record.model import Color

PAGE = """\
# TYPE teal_build_info gauge
teal_build_info{release="r1",color="blue",environment="prod"} 1.0
# TYPE teal_http_requests_total counter
teal_http_requests_total{method="POST",route="/v1/ask",status="200",by="user"} 90.0
teal_http_requests_total{method="POST",route="/v1/search",status="503",by="user"} 3.0
teal_http_requests_total{method="GET",route="/v1/documents",status="404",by="probe"} 2.0
teal_http_requests_total{method="GET",route="/readyz",status="503"} 40.0
teal_http_requests_total{method="GET",route="/metrics",status="200"} 70.0
teal_http_requests_total{method="GET",route="unmatched",status="404",by="user"} 25.0
teal_http_requests_total{method="POST",route="unmatched",status="500",by="user"} 2.0
# TYPE teal_http_request_seconds histogram
teal_http_request_seconds_bucket{route="/v1/ask",by="user",le="0.5"} 80.0
teal_http_request_seconds_bucket{route="/v1/ask",by="user",le="1.0"} 85.0
teal_http_request_seconds_bucket{route="/v1/ask",by="user",le="10.0"} 90.0
teal_http_request_seconds_bucket{route="/v1/ask",by="user",le="+Inf"} 90.0
teal_http_request_seconds_count{route="/v1/ask",by="user"} 90.0
teal_http_request_seconds_sum{route="/v1/ask",by="user"} 40.0
# TYPE teal_retrievals_total counter
teal_retrievals_total 88.0
# TYPE teal_retrieval_empty_total counter
teal_retrieval_empty_total{mode="hybrid"} 4.0
# TYPE teal_model_calls_total counter
teal_model_calls_total 60.0
# TYPE teal_model_rate_limited_total counter
teal_model_rate_limited_total 5.0
# TYPE teal_streams_total counter
teal_streams_total 50.0
# TYPE teal_streams_broken_total counter
teal_streams_broken_total 1.0
# TYPE teal_streams_unfinished_total counter
teal_streams_unfinished_total 2.0
# TYPE teal_answers_total counter
teal_answers_total{label="Extracted",grounded="true"} 80.0
teal_answers_total{label="Extracted",grounded="false"} 9.0
# TYPE teal_claims_total counter
teal_claims_total 200.0
# TYPE teal_dropped_claims_total counter
teal_dropped_claims_total 7.0
"""
SELECTORS: dict[Color, str] = {"blue": 'namespace="teal-blue"', "green": 'namespace="teal-green"'}
_HELD = r"max_over_time\(\w+\{[^}]*\}\[\d+ms\]\)"
_TERM = re.compile(rf"sum\({_HELD}(?: or {_HELD})*\)|count\(\w+\{{[^}}]*\}}\)")
_SERIES = re.compile(r"(\w+)\{([^}]*)\}")
_WINDOW = re.compile(r"\[(\d+)ms\]")


def evaluated(query: str, namespace: str) -> list[float]:
    """The value of the few forms of PromQL that the adapter uses, over PAGE as pods of `namespace` show it."""
    terms = [
        [value for name, matchers in _SERIES.findall(term) for value in _value(name, matchers, namespace)]
        for term in _TERM.findall(query)
    ]
    assert _TERM.sub("T", query) in ("T", "T - T"), f"a form of PromQL that this test does not know: {query}"
    if any(not term for term in terms):
        return []
    return [sum(terms[0]) - sum(sum(term) for term in terms[1:])]


def _value(name: str, matchers: str, namespace: str) -> list[float]:
    series = [sample for family in text_string_to_metric_families(PAGE) for sample in family.samples if sample.name == name]
    for label, operator, wanted in re.findall(r'(\w+)(=~|!~|=)"([^"]*)"', matchers):
        wanted = wanted.replace("\\\\", "\\")  # a PromQL string's own escape
        tests: dict[str, Callable[[str], bool]] = {
            "=": lambda value, wanted=wanted: value == wanted,  # type: ignore[misc]
            "=~": lambda value, wanted=wanted: re.fullmatch(wanted, value) is not None,  # type: ignore[misc]
            "!~": lambda value, wanted=wanted: re.fullmatch(wanted, value) is None,  # type: ignore[misc]
        }
        series = [one for one in series if tests[operator]({**one.labels, "namespace": namespace}.get(label, ""))]
    return [sum(one.value for one in series)] if series else []


def prometheus(seen: list[httpx.Request] | None = None, scraped: str = "teal-blue") -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        found = evaluated(parse_qs(request.content.decode())["query"][0], scraped)
        result = [{"metric": {}, "value": [1.0, str(value)]} for value in found]
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": result}})

    return httpx.MockTransport(answer)


def test_prometheus_and_the_processes_themselves_give_the_same_counts() -> None:
    metrics = PrometheusMetrics("https://prometheus.example/workspaces/w/api/v1/query", SELECTORS, transport=prometheus())
    assert metrics.read("blue") == Counts(counts_on_page(PAGE, counters(GATES)))


def test_a_metric_without_series_is_left_out_except_where_its_labels_explain_it() -> None:
    plain, labelled = Counter("a", CounterTotal("teal_uploads")), Counter("b", CounterTotal("teal_refusals", lazy=True))
    metrics = PrometheusMetrics("https://p.example/api/v1/query", SELECTORS, transport=prometheus(),
                                gates=(Gate("uploads", labelled, plain, margin=0.01, limit=0.05),))  # fmt: skip
    assert metrics.read("blue") == Counts({"b": 0})


def test_a_color_that_nobody_scraped_is_an_error_and_not_zero_errors() -> None:
    metrics = PrometheusMetrics("https://prometheus.example/api/v1/query", SELECTORS, transport=prometheus())
    with pytest.raises(NobodyAnswers, match="green"):
        metrics.read("green")


def test_all_counts_of_a_reading_are_of_one_instant() -> None:
    seen: list[httpx.Request] = []
    clock = iter([100.0, 200.0])
    metrics = PrometheusMetrics("https://p.example/api/v1/query", SELECTORS, transport=prometheus(seen), now=lambda: next(clock))
    metrics.read("blue")
    assert {parse_qs(request.content.decode())["time"][0] for request in seen} == {"100.000"}


def test_all_readings_begin_at_one_moment_so_that_no_count_of_an_ended_pod_leaves_the_sum() -> None:
    seen: list[httpx.Request] = []
    clock = iter([1_000_000.0, 1_000_300.5])
    metrics = PrometheusMetrics("https://p.example/api/v1/query", SELECTORS, transport=prometheus(seen), now=lambda: next(clock))
    metrics.read("blue")
    metrics.read("blue")
    asked = [{name: values[0] for name, values in parse_qs(request.content.decode()).items()} for request in seen]
    begins = {round(float(one["time"]) * 1000) - int(window) for one in asked for window in _WINDOW.findall(one["query"])}
    assert begins == {round((1_000_000.0 - LOOK_BACK_SECONDS) * 1000)}


def test_both_spellings_of_a_bucket_are_counted_once() -> None:
    (spelled,) = re.findall(r'le=~"([^"]*)"', GATES[1].bad.read.promql('a="b"', "1000ms"))
    pattern = spelled.replace("\\\\", "\\")
    found = defaultdict(bool, {le: bool(re.fullmatch(pattern, le)) for le in ("1", "1.0", "10.0", "0.1", "1x0")})
    assert found == {"1": True, "1.0": True, "10.0": False, "0.1": False, "1x0": False}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(403, json={"message": "not authorized"}), "not authorized"),
        (httpx.Response(422, json={"status": "error", "error": "too many samples"}), "too many samples"),
        (httpx.Response(200, text="<html>"), "did not answer"),
    ],
)
def test_what_prometheus_says_is_passed_on_in_words(answer: httpx.Response, words: str) -> None:
    metrics = PrometheusMetrics("https://p.example/api/v1/query", SELECTORS, transport=httpx.MockTransport(lambda _: answer))
    with pytest.raises(OperatorError, match=words):
        metrics.read("blue")


def test_each_request_carries_the_signature_that_botocore_makes_of_it() -> None:
    seen: list[httpx.Request] = []
    keys = ReadOnlyCredentials("testing", "testing", "token")
    PrometheusMetrics("https://aps.example/w/api/v1/query", SELECTORS, SigV4(keys, "aps", "eu-central-1"), prometheus(seen)).read(
        "blue"
    )
    for request in seen:
        again = AWSRequest(
            request.method, str(request.url), data=request.content, headers={"Content-Type": request.headers["Content-Type"]}
        )
        again.context["timestamp"] = request.headers["X-Amz-Date"]
        again.headers["X-Amz-Date"] = request.headers["X-Amz-Date"]
        again.headers["X-Amz-Security-Token"] = "token"
        signer = SigV4Auth(keys, "aps", "eu-central-1")
        text = signer.string_to_sign(again, signer.canonical_request(again))
        assert request.headers["Authorization"].endswith(f"Signature={signer.signature(text, again)}")
        assert request.headers["X-Amz-Security-Token"] == "token"
