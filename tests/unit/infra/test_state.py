"""What Pulumi writes into the platform's state: no value that the program makes stands there in clear."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from infra.evaluation import mocks
from infra.evaluation.evaluate import Evaluation, RegisteredResource
from tests.unit.infra.conftest import STACKS, Stack, evaluate

PASSWORD = "random:index/randomPassword:RandomPassword"  # a type's name  # pragma: allowlist secret


def made(result: Evaluation) -> Mapping[str, str]:
    """Every password that the program makes, by its resource's name."""
    found = [one for one in result.resources if one.type == PASSWORD]
    return {one.name: str(mocks.resource_answer(one.type, one.name, one.inputs, "eu-central-1")[1]["result"]) for one in found}


def holding(result: Evaluation, words: Mapping[str, str]) -> list[tuple[RegisteredResource, str]]:
    """Every input that has one of the passwords in it, somewhere."""
    return [
        (one, name)
        for one in result.resources
        for name, value in one.inputs.items()
        if any(word in json.dumps(value, default=str) for word in words.values())
    ]


@pytest.mark.parametrize("stack", STACKS)
def test_a_password_is_encrypted_in_the_state_wherever_it_goes(stack: Stack) -> None:
    result = evaluate("platform", stack)
    words = made(result)
    assert {"cache", "search-teal-app", "web-probe-blue"} <= set(words)
    found = holding(result, words)
    assert {one.type.rsplit(":", 1)[1] for one, _ in found} == {"ReplicationGroup", "SecretVersion", "Secret", "ListenerRule"}
    for one, name in found:
        assert name in one.secret_inputs, f"{one.name}: {name} is written in clear"
        assert name in one.secret_outputs, f"{one.name}: the provider's answer is written in clear: additional_secret_outputs"


@pytest.mark.parametrize("stack", STACKS)
def test_no_output_of_the_platform_tells_a_password(stack: Stack) -> None:
    result = evaluate("platform", stack)
    told = json.dumps(result.outputs, default=str)
    assert not [name for name, word in made(result).items() if word in told]
