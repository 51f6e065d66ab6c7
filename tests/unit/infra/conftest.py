"""Both programs, evaluated once a session for each stack, without a cloud and without the Pulumi command."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

import pytest

from infra.evaluation import evaluate as evaluation
from infra.evaluation.evaluate import Evaluation, RegisteredResource

Program = Literal["platform", "service"]
Stack = str
Evaluate = Callable[[Program, Stack], Evaluation]
STACKS: tuple[Stack, ...] = evaluation.stacks()
OPS = "arn:aws:iam::210987654321:role/ops"  # another account's role than the committed files list
seconds: dict[tuple[str, str], float] = {}


@functools.cache
def evaluate(program: Program, stack: Stack) -> Evaluation:
    """What `program` registers for `stack`, and its outputs."""
    begin = time.perf_counter()
    if program == "platform":
        result = evaluation.platform(stack)
    else:
        from tests.unit.infra import service_program  # beside the service program's own tests

        result = service_program.evaluate(stack, evaluate("platform", stack).outputs)
    seconds[program, stack] = time.perf_counter() - begin
    return result


@functools.cache
def variant() -> Evaluation:
    """Dev as somebody else may have it, with the longest name that a stack may have, in the region with the longest name."""
    values = evaluation.stack_values("dev")
    del values["teal:models"]
    values["aws:region"] = "ap-southeast-1"
    values["teal:cluster"] = {**cast(dict[str, object], values["teal:cluster"]), "admin_role_arns": [OPS]}
    return evaluation.evaluate_program("teal", evaluation.ROOT / "infra" / "__main__.py", "a" * 20, values)


def of_type(result: Evaluation, kind: str) -> list[RegisteredResource]:
    """The resources of one type, in the order of registration."""
    return [each for each in result.resources if each.type == kind]


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> Stack:
    """Each committed stack in turn."""
    chosen: Stack = request.param
    return chosen


@pytest.fixture
def platform(stack: Stack) -> Evaluation:
    """The platform program of each stack in turn."""
    return evaluate("platform", stack)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker of pytest-xdist takes all of this folder: the first evaluation of a program costs a process seven seconds."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group("infra"))
