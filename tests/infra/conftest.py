"""Both programs, evaluated once a session for each stack, without a cloud and without the Pulumi command."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Literal

import pytest

from infra import evaluate as evaluation
from infra.evaluate import Evaluation, Registered

Program = Literal["platform", "service"]
Stack = Literal["dev", "staging", "prod"]
Evaluate = Callable[[Program, Stack], Evaluation]
STACKS: tuple[Stack, ...] = ("dev", "staging", "prod")
seconds: dict[tuple[str, str], float] = {}


@functools.cache
def evaluate(program: Program, stack: Stack) -> Evaluation:
    """What `program` registers for `stack`, and its outputs."""
    begin = time.perf_counter()
    if program == "platform":
        result = evaluation.platform(stack)
    else:
        from tests.infra import service_program  # beside the service program's own tests

        result = service_program.evaluate(stack, evaluate("platform", stack).outputs)
    seconds[program, stack] = time.perf_counter() - begin
    return result


def of_type(result: Evaluation, kind: str) -> list[Registered]:
    """The resources of one type, in the order of registration."""
    return [each for each in result.resources if each.type == kind]


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> Stack:
    """Each of the three stacks in turn."""
    chosen: Stack = request.param
    return chosen


@pytest.fixture
def platform(stack: Stack) -> Evaluation:
    """The platform program of each stack in turn."""
    return evaluate("platform", stack)
