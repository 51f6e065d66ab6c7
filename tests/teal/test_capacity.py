"""Capacity is read from a step run: the last stage before the first that was not kept, and what follows from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from teal import cli
from teal.errors import BadInput
from teal.load import capacity as capacities
from teal.load.capacity import Capacity, Run, Stage, capacity, read, replicas_for, target_cpu_percent, usd_per_million

ROOT = Path(__file__).parents[2]


def stage(level: int, outcome: str = "kept", answered: float | None = None, **fields: Any) -> Stage:
    rate = float(level) if answered is None else answered
    return Stage(level=level, offered_per_second=level, questions_per_second=rate, outcome=outcome, **{"replicas": 2, **fields})


def run(*stages: Stage) -> Run:
    return Run(shape="step", stages=stages)


def test_the_last_stage_before_the_first_that_was_not_kept_counts() -> None:
    found = capacity(run(stage(10), stage(20, cpu_per_replica=0.6), stage(30, "breached"), stage(40)))
    assert found == Capacity(20.0, 2, True, 0.6)
    assert found.per_replica == 10.0


def test_a_run_that_never_reached_the_limit_says_so() -> None:
    assert not capacity(run(stage(10), stage(20))).knee


def test_a_stage_that_did_not_answer_what_was_offered_is_beyond_the_limit() -> None:
    assert capacity(run(stage(10), stage(20, answered=18.9))).questions_per_second == 10.0
    assert capacity(run(stage(10), stage(20, answered=19.0))).questions_per_second == 19.0


@pytest.mark.parametrize("outcome", ["breached", "too few"])
def test_no_stage_no_capacity(outcome: str) -> None:
    with pytest.raises(BadInput, match="No stage kept"):
        capacity(run(stage(10, outcome), stage(20)))


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
        read(write(tmp_path, **changes))
    assert refused.value.next == "teal load step"


def test_a_question_is_priced_by_the_real_program_for_prod(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["capacity", str(write(tmp_path)), "--load", "50", "--stack", "prod", "--project", str(ROOT), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["per_replica"], found["replicas"]) == (10.0, 8)  # 50 / (10 * 0.7) is 7.1
    assert found["usd_per_million_questions"] == pytest.approx(
        found["usd_month"] / (50 * capacities.SECONDS_A_MONTH) * 1e6, abs=0.01
    )


def test_more_replicas_than_the_stack_allows_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "__init__.py").touch()
    (tmp_path / "infra" / "cost.py").write_text(
        "import json, sys; print(json.dumps({'usd': 1.0, 'web_replicas': 30 if '--load' in sys.argv else 3}))"
    )
    assert (
        cli.run(["capacity", str(write(tmp_path)), "--load", "5000", "--stack", "prod", "--project", str(tmp_path), "--json"])
        == 2
    )
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["what"] == "715 replicas are needed, and prod never has more than 30"
    assert "max_replicas" in error["next"]


def test_words_say_whether_the_limit_was_met(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["capacity", str(write(tmp_path)), "--load", "14", "--usd-month", "100"]) == 0
    said = capsys.readouterr().out
    assert "10 questions a second and replica: 20 by 2 (a higher stage was not kept)" in said
    assert "14 questions a second need 2 replicas at 70% of that each" in said
    assert "2.72 USD a million questions" in said
