"""Capacity is read from a step run: the last stage before the first that was not kept, and what follows from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from teal import cli
from teal.errors import BadInput
from teal.load.capacity import (
    Capacity,
    CapacityRun,
    MeasuredStage,
    capacity,
    read_run,
    replicas_for,
    target_cpu_percent,
    usd_per_million,
)


def stage(level: int, outcome: str = "kept", answered: float | None = None, **fields: Any) -> MeasuredStage:
    rate = float(level) if answered is None else answered
    return MeasuredStage(
        level=level, offered_per_second=level, questions_per_second=rate, outcome=outcome, **{"replicas": 2, **fields}
    )


def run(*stages: MeasuredStage) -> CapacityRun:
    return CapacityRun(shape="step", stages=stages)


def test_the_last_stage_before_the_first_that_was_not_kept_counts() -> None:
    found = capacity(run(stage(10), stage(20, cpu_per_replica=0.6), stage(30, "breached"), stage(40)))
    assert found == Capacity(20.0, 2, True, 0.6, above="30 a second was breached")
    assert found.per_replica == 10.0


def test_a_run_that_never_reached_the_limit_says_so() -> None:
    assert not capacity(run(stage(10), stage(20))).knee


def test_a_stage_that_did_not_answer_what_was_offered_is_beyond_the_limit() -> None:
    assert capacity(run(stage(10), stage(20, answered=18.9))).questions_per_second == 10.0
    assert capacity(run(stage(10), stage(20, answered=19.0))).questions_per_second == 19.0


@pytest.mark.parametrize(
    ("outcome", "said"),
    [("breached", "No stage kept"), ("too few", "Too few samples"), ("void", "The load generator was the limit")],
)
def test_no_stage_no_capacity_and_only_a_breach_says_that_the_service_carries_less(outcome: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        capacity(run(stage(10, outcome), stage(20)))


@pytest.mark.parametrize("outcome", ["void", "too few"])
def test_a_late_generator_is_no_limit_of_the_service_and_nothing_above_it_counts(outcome: str) -> None:
    found = capacity(run(stage(10), stage(20, outcome, why="the generator was late"), stage(329)))
    assert (found.questions_per_second, found.knee) == (10.0, False)
    assert found.above == f"20 a second was {outcome}: the generator was late"


def test_goodput_is_said_first_with_its_interval_and_priced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    goodput = {"mean": 9.5, "low": 9.0, "high": 10.0, "repetitions": 3}
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"shape": "step", "stages": [stage(10, goodput=goodput, replicas=1).model_dump()]}))
    assert cli.run(["capacity", str(path), "--load", "14", "--usd-month", "100"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "goodput 9.5 answers a second within every limit (95 % confidence 9.0 to 10.0, 3 repetitions)"
    # Two replicas at 9.5 a second each, for 2,628,000 seconds, cost 100 USD.
    assert said[-1] == "499,320 answers within every limit for a dollar, at the knee"


def test_replicas_are_told_where_nobody_saw_them() -> None:
    with pytest.raises(BadInput, match="how many replicas"):
        capacity(run(stage(10, replicas=None)))
    assert capacity(run(stage(10, replicas=None)), replicas=5).per_replica == 2.0


@pytest.mark.parametrize(
    ("load", "per_replica", "replicas"), [(1, 10, 2), (14, 10, 2), (14.1, 10, 3), (70, 10, 10), (71, 10, 11)]
)
def test_replicas_keep_the_headroom_and_are_never_one(load: float, per_replica: float, replicas: int) -> None:
    assert replicas_for(load, per_replica) == replicas


def test_a_million_questions_cost_their_part_of_the_month() -> None:
    # 10 a second for 730 hours are 26.28 million.
    assert usd_per_million(2_628.0, 10.0) == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("cores", "request_cores", "percent"), [(0.9, 1.0, 65), (0.9, 2.0, 30), (1.0, 1.0, 70), (0.05, 2.0, 10), (None, 1.0, None)]
)
def test_the_autoscaler_s_target_follows_the_request(cores: float | None, request_cores: float, percent: int | None) -> None:
    assert target_cpu_percent(Capacity(10.0, 1, True, cores), request_cores) == percent


def write(folder: Path, **changes: Any) -> Path:
    stages = [stage(level, outcome).model_dump() for level, outcome in ((10, "kept"), (20, "kept"), (30, "breached"))]
    path = folder / "result.json"
    path.write_text(json.dumps({"shape": "step", "stages": stages, "host": "more than is read", **changes}))
    return path


@pytest.mark.parametrize("changes", [{"shape": "soak"}, {"stages": []}, {"stages": [{}]}])
def test_another_file_is_refused_with_the_command_that_makes_one(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as refused:
        read_run(write(tmp_path, **changes))
    assert refused.value.next == "teal load step"


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([("kept", 10), ("kept", 20)], "(the highest that was tried; the limit is above)"),
        ([("kept", 10), ("void", 20)], "(a higher stage says nothing about the service): 20 a second was void"),
    ],
)
def test_words_do_not_place_a_limit_that_nobody_saw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stages: list[tuple[str, int]], said: str
) -> None:
    path = write(tmp_path, stages=[stage(level, outcome).model_dump() for outcome, level in stages])
    assert cli.run(["capacity", str(path)]) == 0
    assert said in capsys.readouterr().out


def test_words_say_whether_the_limit_was_met(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["capacity", str(write(tmp_path)), "--load", "14", "--usd-month", "100"]) == 0
    said = capsys.readouterr().out
    assert "10 questions a second and replica: 20 by 2 (a higher stage was not kept)" in said
    assert "14 questions a second need 2 replicas at 70% of that each" in said
    assert "2.72 USD a million questions" in said
