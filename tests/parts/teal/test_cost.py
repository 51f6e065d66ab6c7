"""`teal cost` asks the infrastructure program and passes on what it says, in its words and with its exit code."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from teal import cli
from teal.aws import cost
from teal.aws.cost import CostFailed, OverBudget, ask_bill, refuse_over_budget
from teal.errors import BadInput

ROOT = Path(__file__).parents[3]


def program(folder: Path, text: str) -> Path:
    """A folder whose `infra.cost` is a stand-in with this source; the process is real."""
    (folder / "infra").mkdir()
    (folder / "infra" / "__init__.py").touch()
    (folder / "infra" / "cost.py").write_text(text)
    return folder


def answering(folder: Path, **fields: object) -> Path:
    return program(
        folder, f"print({json.dumps({'unpriced': [], 'usd': 500.0, 'budget_usd': 400, 'over_budget': True, **fields})!r})"
    )


def test_the_real_program_prices_a_committed_stack(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["cost", "dev", "--json", "--project", str(ROOT)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["stack"] == "dev"
    assert found["usd"] == pytest.approx(sum(line["usd"] or 0 for line in found["lines"]), abs=0.02)


def test_a_stack_that_does_not_exist_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["cost", "nowhere", "--project", str(ROOT)]) == 2
    assert "there is no Pulumi.nowhere.yaml" in capsys.readouterr().err


def test_options_reach_the_program(tmp_path: Path) -> None:
    folder = program(tmp_path, "import sys; print(sys.argv[1:])")
    assert (
        ask_bill(folder, "prod", ["--refresh", "--load", "10"], as_json=True) == "['prod', '--refresh', '--load', '10', '--json']"
    )


def test_a_plan_above_its_budget_is_refused_with_the_numbers(tmp_path: Path) -> None:
    with pytest.raises(OverBudget, match="500 USD a month, and its budget_usd is 400") as refused:
        refuse_over_budget(answering(tmp_path), "dev")
    assert refused.value.exit_code == 2


def test_a_plan_within_its_budget_passes(tmp_path: Path) -> None:
    refuse_over_budget(answering(tmp_path, over_budget=False), "dev")


@pytest.mark.parametrize(("over", "code"), [(True, 2), (False, 0)])
def test_the_check_decides_the_exit_code(tmp_path: Path, over: bool, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    answering(tmp_path, over_budget=over)
    assert cli.run(["cost", "dev", "--check", "--project", str(tmp_path)]) == code
    assert ("budget_usd" in capsys.readouterr().err) is over


def test_missing_packages_are_said_with_the_command_that_installs_them(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="pulumi_of_nobody") as missing:
        ask_bill(program(tmp_path, "import pulumi_of_nobody"), "dev", (), as_json=False)
    assert missing.value.next == cost.INSTALL


def test_a_crash_is_a_failure_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(CostFailed, match="boom"):
        ask_bill(program(tmp_path, "raise RuntimeError('boom')"), "dev", (), as_json=False)


def test_a_refusal_of_many_lines_is_told_from_its_first_line_on(tmp_path: Path) -> None:
    """The first line names the file and the root cause; the last five were once all that was shown."""
    text = "import sys; sys.stderr.write('\\n'.join(['the cause', *map(str, range(20))])); sys.exit(2)"
    with pytest.raises(BadInput, match=r"the cause\n0\n"):
        ask_bill(program(tmp_path, text), "dev", (), as_json=False)


def test_an_answer_that_is_not_json_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(CostFailed, match="not readable"):
        cost.read_bill(program(tmp_path, "print('hello')"), "dev")


@pytest.mark.parametrize("load", ["0", "1001", "much"])
def test_an_impossible_load_is_refused_before_anything_runs(load: str) -> None:
    assert cli.run(["cost", "dev", "--load", load, "--project", str(ROOT)]) == 2


def test_the_environment_passes_to_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "AWS_PROFILE", "somebody")
    folder = program(tmp_path, "import os; print(os.environ['AWS_PROFILE'])")
    assert ask_bill(folder, "dev", (), as_json=False) == "somebody"


def test_a_part_without_a_price_is_no_plan_within_the_budget(tmp_path: Path) -> None:
    project = answering(tmp_path, over_budget=False, unpriced=["rds:db.x9.large"])
    with pytest.raises(OverBudget, match=r"No price is known for rds:db\.x9\.large"):
        refuse_over_budget(project, "dev")
    refuse_over_budget(project, "dev", allow_unpriced=True)
