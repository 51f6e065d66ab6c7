"""What each stack registers is written down: nothing appears, goes or loses its protection unseen."""

from __future__ import annotations

import pytest

from infra.evaluation.evaluate import evaluate_program, stack_values
from tests.unit.infra.conftest import STACKS, Program, Stack, evaluate
from tests.unit.infra.inventory import FOLDER, lines

REWRITE = "look at the difference; when it is meant: .venv/bin/python -m tests.unit.infra.inventory"


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize(("program", "suffix"), [("platform", ""), ("service", "-service")])
def test_the_inventory_is_in_step(program: Program, suffix: str, stack: Stack) -> None:
    written = (FOLDER / f"{stack}{suffix}.txt").read_text().splitlines()
    found = lines(evaluate(program, stack))
    new, gone = sorted(set(found) - set(written)), sorted(set(written) - set(found))
    assert not new, f"{REWRITE}\nnot written down: " + "\n".join(new)
    assert not gone, f"{REWRITE}\nwritten down, and not there: " + "\n".join(gone)
    assert len(found) == len(written)


@pytest.mark.exhaustive  # test_who_runs_the_program_does_not_change_it compares two evaluations, too
def test_the_same_program_registers_the_same_twice() -> None:
    from infra.evaluation.evaluate import ROOT

    again = evaluate_program("teal", ROOT / "infra" / "__main__.py", "prod", stack_values("prod"))
    assert lines(again) == lines(evaluate("platform", "prod"))


def test_the_stacks_differ_in_sizes_not_in_kinds() -> None:
    kinds = {stack: {each.type for each in evaluate("platform", stack).resources} for stack in STACKS}
    assert kinds["dev"] == kinds["staging"] == kinds["prod"]
