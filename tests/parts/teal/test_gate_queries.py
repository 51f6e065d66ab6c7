"""The gates' queries, evaluated by Prometheus' own engine (promtool): no request that a pod counted leaves the sum, whatever becomes of the pod."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import httpx
import pytest
import yaml

from teal.metrics.gates import GATES
from teal.metrics.prometheus import LOOK_BACK_SECONDS, PrometheusMetrics
from tests.services.go_tools import tool

pytestmark = pytest.mark.timeout(1_800)  # the first use builds promtool

BEFORE_MINUTES: Final = round(LOOK_BACK_SECONDS / 60)  # how long before the first reading the counts begin
ERRORS: Final = GATES[0]  # its counters are requests and errors
_SERIES: Final = (
    'teal_http_requests_total{{namespace="teal-blue",route="{route}",status="{status}",pod="{pod}",container_id="{container}"}}'
)


def series(pod: str, container: str = "1", *, status: int = 200, route: str = "/v1/search") -> str:
    return _SERIES.format(pod=pod, container=container, status=status, route=route)


def counted(held: Mapping[str, str], looks: Mapping[int, tuple[int, int]], folder: Path) -> None:
    """Fails unless at each look, in minutes, the releaser reads so many requests and errors of these series, one value a minute."""
    clock, asked = iter([60.0 * minute for minute in looks]), list[dict[str, str]]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append({name: values[0] for name, values in parse_qs(request.content.decode()).items()})
        return httpx.Response(200, json={"status": "success", "data": {"result": [{"metric": {}, "value": [0, "1"]}]}})

    metrics = PrometheusMetrics("https://p.example/api/v1/query", {"blue": 'namespace="teal-blue"', "green": ""},
                                transport=httpx.MockTransport(answer), now=lambda: next(clock), gates=(ERRORS,))  # fmt: skip
    tests: list[dict[str, Any]] = []
    for minute, (requests, errors) in looks.items():
        asked.clear()
        metrics.read("blue")
        tests += [
            {"expr": one["query"], "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": wanted}]}
            for one, wanted in zip(asked[1:], (errors, requests), strict=True)
        ]
    document = {"tests": [{
        "interval": "1m", "input_series": [{"series": name, "values": values} for name, values in held.items()], "promql_expr_test": tests,
    }]}  # fmt: skip
    (folder / "tests.yaml").write_text(yaml.safe_dump(document))
    ended = subprocess.run(
        [tool("promtool"), "test", "rules", "tests.yaml"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture
def healthy() -> dict[str, str]:
    """A pod that answers ten requests a minute, for longer than the counts look back."""
    return {series("lives"): f"0+10x{BEFORE_MINUTES + 60}", series("lives", status=503): f"0x{BEFORE_MINUTES + 60}"}


def test_a_pod_that_ended_stays_counted(healthy: dict[str, str], tmp_path: Path) -> None:
    held = {**healthy, series("ended"): "0+10x9 stale", series("ended", status=503): "0+1x9 stale"}
    counted(held, {5: (50 + 55, 5), 9: (90 + 99, 9), 30: (300 + 99, 9)}, tmp_path)


def test_a_pod_that_ended_long_ago_leaves_no_sum_in_the_middle_of_a_release(healthy: dict[str, str], tmp_path: Path) -> None:
    """It went back by all that the pod had counted, and all that was left was then taken for new requests."""
    held = {**healthy, series("ended"): "0+10x9 stale", series("ended", status=503): "0+1x9 stale"}
    first, later = BEFORE_MINUTES + 5, BEFORE_MINUTES + 20
    counted(held, {first: (10 * first + 99, 9), later: (10 * later + 99, 9)}, tmp_path)


def test_a_container_that_begins_anew_adds_to_what_it_had_counted(healthy: dict[str, str], tmp_path: Path) -> None:
    held = {**healthy, series("crashes"): "0+10x9 stale", series("crashes", "2"): "_x12 0+10x40"}
    counted(held, {9: (90 + 90, 0), 20: (200 + 90 + 80, 0)}, tmp_path)


def test_a_failure_before_routing_is_an_error_and_an_unknown_address_is_no_request(
    healthy: dict[str, str], tmp_path: Path
) -> None:
    held = {
        **healthy,
        series("lives", route="unmatched", status=404): "0+7x30",
        series("lives", route="unmatched", status=500): "0+2x30",
        series("lives", route="/readyz", status=503): "0+5x30",
    }
    counted(held, {10: (100 + 20, 20)}, tmp_path)
