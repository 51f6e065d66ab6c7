"""The page says what was measured, beside a baseline where there is one, and lets nothing out of what a server answered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

import pytest

from loadtests import evaluate, report
from loadtests.history import PastRun
from loadtests.measured import (
    FIRST_EVENT,
    SEARCH,
    Climb,
    Count,
    Drain,
    FailureCount,
    Interval,
    LoadTestResult,
    MeasuredWindow,
    ServiceObservation,
    total,
)
from loadtests.plots import merged, plots
from loadtests.shapes import ShapeStage
from loadtests.thresholds import Threshold, ThresholdFile

RULES = ThresholdFile(
    thresholds=(
        Threshold(requests=SEARCH, at_most_percent=5, why="a test's"),
        Threshold(requests=FIRST_EVENT, at_most_percent=5, why="a test's"),
    )
)


def result(taken_ms: int = 20, seconds: int = 30, **changes: Any) -> LoadTestResult:
    counts: Mapping[str, Count] = {SEARCH: Count(requests=10, failed=1, ms={taken_ms: 10})}
    parts = [
        MeasuredWindow(from_seconds=at, to_seconds=at + 1, stage=0 if at < 15 else 1, users=5, counts=dict(counts))
        for at in range(seconds)
    ]
    measured = LoadTestResult(shape="spike", kind="arrivals", plan=(ShapeStage(15, 5), ShapeStage(15, 5)), host="https://h", began=1_000.0, seconds=float(seconds),
                      windows=parts, failures=[FailureCount(requests=SEARCH, reason="500 <script>alert(1)</script>", count=30)], **changes)  # fmt: skip
    return evaluate.with_verdicts(measured, RULES, measured.seen, {"where": "laptop"})


class Text(HTMLParser):
    """The page's words and tags; unclosed tags would show as another nesting."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words, self.tags = list[str](), list[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def test_verdicts_numbers_failures_and_what_they_hold_for_are_there() -> None:
    words = " ".join(Text(report.report_page(result())).words)
    assert "search: at most 5 % failed breached 30 300 59" in re.sub(r"\s+", " ", words)
    assert "ask, first event: at most 5 % failed too few 0 0 59" in re.sub(r"\s+", " ", words)
    assert "500 <script>alert(1)</script>" in words  # as text
    assert "laptop" in words


def test_each_climb_says_where_it_ended_and_how_long_the_service_drained() -> None:
    climbs = [
        Climb(
            repetition=0,
            broken_stage=1,
            outcome="breached",
            why="29 of 30",
            drain=Drain(seconds=7.4, drained=True, probe_ms=30.0),
        ),
        Climb(repetition=1, drain=Drain(seconds=60.2, drained=False, probe_ms=None)),
        Climb(repetition=2),
    ]
    found = result(climbs=climbs, each_stage=True, repeat=3)
    words = re.sub(r"\s+", " ", " ".join(Text(report.report_page(found)).words))
    assert "1 at 5 a second 29 of 30 drained after 7 s" in words
    assert "2 after its last stage not drained within 60 s" in words
    assert "The service did not drain after 1 of 3 climbs" in words


@pytest.mark.parametrize(("about", "said"), [({"arrivals": "poisson"}, "at random times (Poisson)"), ({}, "at a constant rate")])
def test_how_requests_arrived_is_said(about: dict[str, str], said: str) -> None:
    words = " ".join(Text(report.report_page(result().model_copy(update={"about": about}))).words)
    assert f"requests {said}, measured from when they were due (open loop)" in words


def test_a_page_runs_and_loads_nothing() -> None:
    page = report.report_page(result(), result(10))
    assert not {"script", "link", "img", "iframe", "object"} & set(Text(page).tags)
    assert not re.search(r"""(src|href)=["']?https?:|url\((?!#)""", page.replace("http://www.w3.org", ""))


def test_the_load_balancer_s_shares_are_drawn_where_they_were_seen() -> None:
    looks = [
        ServiceObservation(at=1_000.0 + second, weights={"blue": 100 - second, "green": second}) for second in range(0, 31, 10)
    ]
    with_shares = Text(report.report_page(result(seen=looks)))
    without = Text(report.report_page(result()))
    assert with_shares.tags.count("svg") == without.tags.count("svg") + 1
    assert "Shares of the load balancer, %" in with_shares.words
    assert {"blue", "green"} <= set(with_shares.words)


def test_a_baseline_stands_beside_with_the_ratio() -> None:
    (row,) = report.report_rows(result(20), result(10))
    assert (row.percentiles_ms, row.before, row.ratio(1)) == ((20.0, 20.0, 20.0), (10.0, 10.0, 10.0), 2.0)
    assert "another shape" not in report.report_page(result(), result())
    other = result().model_copy(update={"shape": "smoke"})
    assert "another shape" in report.report_page(result(), other)


def test_two_runs_beside_each_other_have_the_same_axes() -> None:
    slow, fast = result(800), result(10, seconds=20)
    heading = "Latency, 95 % within, ms"
    alone = [numbers(plots(one)[heading]) for one in (slow, fast)]
    beside = [numbers(plots(slow, beside=fast)[heading]), numbers(plots(fast, beside=slow)[heading])]
    assert alone[0] != alone[1]
    assert beside[0] == beside[1]


def numbers(svg: str) -> list[str]:
    """What stands along the axes."""
    return re.findall(r"<text[^>]*>([\d.]+)</text>", svg)


def test_releases_over_time_show_goodput_and_lateness_each_on_its_own_scale() -> None:
    goodput = Interval(mean=9.0, low=8.0, high=10.0, repetitions=3)
    past = [
        PastRun(began=n, shape="step", release=f"r{n}", outcome="kept", goodput=goodput, search_p95_ms=900.0) for n in range(3)
    ]
    words = Text(report.report_page(result(), earlier=past)).words
    assert {"r0", "r1", "r2", "10", "800"} <= set(words)
    assert {"goodput, a second", "search, 95 % within, ms"} <= set(words)


def test_what_the_baseline_did_not_ask_is_said() -> None:
    empty = result().model_copy(update={"windows": []})
    assert "not in the baseline" in report.report_page(result(), empty)


@pytest.mark.parametrize("most", [1, 7, 30, 100])
def test_windows_put_together_keep_every_count_and_mix_no_stages(most: int) -> None:
    parts = result().windows
    found = merged(parts, most)
    assert total(found) == total(parts)
    assert {one.stage for one in found} == {0, 1}
    assert [one.from_seconds for one in found[1:]] == [one.to_seconds for one in found[:-1]]
    assert len(found) <= most + 2
