"""Soaks: the sequence of faults from a seed, which failures a fault explains, and what makes a soak fail. Without a stack."""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from teal import runbook
from teal.cli import run
from teal.drill.catalogue import DRILLS
from teal.drill.flat import Growth
from teal.drill.measure import DrillLimits, read_limits
from teal.drill.soak_judge import (
    CALM_SECONDS,
    SoakFault,
    SoakResult,
    degraded_minutes,
    eligible,
    fault_plan,
    unexplained_failures,
)
from teal.drill.users import UserRequest

TARGETS = read_limits(runbook.runbooks_folder() / "targets.yaml")
BEGAN = 1_000_000.0
FAULT = SoakFault("caddy", BEGAN + 100, BEGAN + 110, BEGAN + 120, answered_seconds=5.0)
FLAT = Growth("app-0", "memory", 4, 100.0, 105.0, 1.0, 900.0, None, across_is_accident=True, alive_at_end=True)
FOUND = SoakResult(
    seed=7, began="2026-01-02T03:04:05+00:00", minutes=30.0, ran_seconds=1800.0, per_second=20.0, faults=(FAULT,), requests=36_000,
    failed_requests=9, degraded_minutes=1, unexplained=(), documents=1_000, lost=(), doubled=0, growths=(FLAT,), left_processes=0,
    loads=(1.0, 3.0, 2.0),
)  # fmt: skip


def _sequence(seed: int, most: int = 60) -> list[tuple[float, str]]:
    return [(calm, drill.name) for calm, drill in islice(fault_plan(eligible(DRILLS, TARGETS), seed), most)]


def _failed(at: float, seconds: float = 0.1) -> UserRequest:
    return UserRequest(BEGAN + at, seconds, "search", good=False, why="503")


def test_a_seed_gives_the_same_faults_again_and_another_seed_others() -> None:
    assert _sequence(7) == _sequence(7)
    assert [name for _, name in _sequence(7)] != [name for _, name in _sequence(8)]


def test_every_fault_comes_once_before_any_comes_again_with_calm_before_it() -> None:
    names = [drill.name for drill in eligible(DRILLS, TARGETS)]
    found = _sequence(3, 2 * len(names))
    assert Counter(name for _, name in found[: len(names)]) == Counter(names)
    assert Counter(name for _, name in found[len(names) :]) == Counter(names)
    assert all(CALM_SECONDS[0] <= calm <= CALM_SECONDS[1] for calm, _ in found)


def test_a_soak_causes_no_fault_that_may_lose_documents_or_needs_a_special_machine() -> None:
    names = {drill.name for drill in eligible(DRILLS, TARGETS)}
    assert names.isdisjoint({"restore-database", "disk-full", "elasticsearch", "damaged-model"})
    assert {"worker", "app", "redis", "supervisor", "release", "restore-search"} <= names
    assert list(fault_plan((), 1)) == []
    loses = {**TARGETS, "worker": DrillLimits(answered_seconds=0, whole_seconds=1, lost_documents=1)}
    assert "worker" not in {drill.name for drill in eligible(DRILLS, loses)}


@pytest.mark.parametrize(
    ("at", "seconds", "explained"),
    [
        (99.0, 0.5, False),  # over before the fault
        (99.0, 1.5, True),  # under way when it came
        (105.0, 0.1, True),
        (114.9, 0.1, True),  # mended, and within the RTO
        (115.1, 0.1, False),
        (114.0, 30.0, True),  # sent within the RTO, given up later
    ],
)
def test_a_failure_is_explained_from_the_fault_to_its_mending_and_the_rto(at: float, seconds: float, explained: bool) -> None:
    found = unexplained_failures([_failed(at, seconds)], [FAULT], BEGAN)
    assert (found == ()) is explained


def test_a_fault_by_which_no_request_may_fail_explains_none() -> None:
    (found,) = unexplained_failures([_failed(105.0)], [replace(FAULT, drill="worker", answered_seconds=0.0)], BEGAN)
    assert (found.minute, found.kind, found.why) == (1, "search", "503")


def test_a_fault_that_was_never_mended_explains_failures_until_it_was_given_up() -> None:
    never = replace(FAULT, mended_at=0.0)
    assert unexplained_failures([_failed(124.0)], [never], BEGAN) == ()
    assert len(unexplained_failures([_failed(126.0)], [never], BEGAN)) == 1


def test_a_minute_is_degraded_by_one_failed_request() -> None:
    requests = [_failed(1), _failed(59), _failed(61), UserRequest(BEGAN + 200, 0.1, "ask", good=True)]
    assert degraded_minutes(requests, BEGAN) == 2


def test_a_soak_in_which_everything_was_kept_passes() -> None:
    assert (FOUND.reasons, FOUND.fields()["passed"]) == ((), True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lost": ("d1",)}, "1 of 1000 acknowledged documents are lost"),
        ({"doubled": 2}, "2 documents are there more than once"),
        ({"unexplained": unexplained_failures([_failed(61), _failed(62), _failed(300)], (), BEGAN)}, "minutes that no fault explains: 1, 5"),
        ({"growths": (replace(FLAT, within_per_hour=25.0),)}, "grows by 25.0 MB an hour"),
        ({"growths": (replace(FLAT, within_per_hour=None),)}, "no process lived long enough to judge its memory"),
        ({"faults": (replace(FAULT, failure="Block start ended with 1"),)}, "the runbook of caddy did not mend it"),
        ({"faults": ()}, "no fault was caused"),
        ({"left_processes": 1}, "1 processes of the stack were left over"),
        ({"stopped": "it was asked to stop", "ran_seconds": 600.0}, "it ended after 10.0 of 30 min: it was asked to stop"),
    ],
)  # fmt: skip
def test_whatever_was_not_kept_fails_the_soak_and_is_said(change: dict[str, object], said: str) -> None:
    (reason,) = replace(FOUND, **change).reasons  # type: ignore[arg-type]
    assert said in reason


def test_a_short_soak_measures_memory_and_does_not_judge_it() -> None:
    found = replace(FOUND, minutes=2.0, ran_seconds=120.0, growths=(replace(FLAT, within_per_hour=500.0),))
    assert (found.reasons, found.memory_is_judged) == ((), False)


@pytest.mark.parametrize(("change", "code"), [({}, 0), ({"lost": ("d1",)}, 1)])
@pytest.mark.parametrize("as_json", [True, False])
def test_the_command_prints_the_seed_keeps_the_figures_and_exits_by_the_result(
    change: dict[str, object], code: int, as_json: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    monkeypatch.setattr("teal.drill.soak.run_soak", lambda request, *_: replace(FOUND, seed=request.seed, **change))
    arguments = ["soak", "--minutes", "30", "--seed", "42", "--output", str(tmp_path / "out"), *(["--json"] if as_json else [])]
    assert run(arguments) == code
    said = capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "results.json").read_text())["passed"] is (code == 0)
    assert (json.loads(said)["seed"] == 42) if as_json else ("seed 42" in said and ("not passed: " in said) is (code == 1))


@pytest.mark.parametrize("arguments", [["--minutes", "0"], ["--seed", "-1"], ["--minutes", "2000"]])
def test_a_soak_without_an_end_or_a_seed_is_bad_input(arguments: list[str]) -> None:
    assert run(["soak", *arguments, "--json"]) == 2


def test_the_first_signal_ends_a_soak_softly_and_the_second_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[bool] = []

    def soak(request: object, *_: object) -> SoakResult:
        stop = request.stop  # type: ignore[attr-defined]
        assert isinstance(stop, threading.Event)
        signal.raise_signal(signal.SIGTERM)
        seen.append(stop.is_set())
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        request.judging.set()  # type: ignore[attr-defined]
        signal.raise_signal(signal.SIGTERM)  # what is left ends by itself
        return replace(FOUND, stopped="it was interrupted", ran_seconds=60.0)

    monkeypatch.setattr("teal.drill.soak.run_soak", soak)
    before = signal.getsignal(signal.SIGTERM)
    assert run(["soak", "--seed", "1", "--json", "--output", str(tmp_path)]) == 1
    assert (seen, signal.getsignal(signal.SIGTERM)) == ([True], before)
