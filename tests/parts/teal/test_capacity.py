"""Capacity is read from a step run: the last stage before the first that was not kept, and what follows from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from teal import cli
from teal.load import capacity as capacities
from tests.unit.teal.load.test_capacity import write

ROOT = Path(__file__).parents[3]


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
