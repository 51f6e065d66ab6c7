"""Whoever runs the program with a real account has replaced everything that the committed files hold in its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.compose.foundation import admins, check_deployer
from infra.config import examples
from infra.config.read import ConfigError, load_config
from infra.evaluation import evaluate as evaluation
from infra.evaluation.evaluate import stack_values

REAL = "999988887777"
ROLE = f"arn:aws:iam::{REAL}:role/deployer"
MENDED: dict[str, Any] = {
    "teal:cluster": {"version": "1.35", "endpoint_cidrs": ["10.1.0.0/16"], "admin_role_arns": [ROLE]},
    "teal:web": {
        "domain": "rag.acme.io",
        "hosted_zone_id": "Z0123456789ABCDEFGHIJ",
        "public": False,
        "allowed_cidrs": ["10.1.0.0/16"],
    },
    "teal:alerts": {"email": "oncall@acme.io"},
    "teal:github": {"repository": "acme/rag", "environment": "dev"},
}


def refusal(values: dict[str, Any]) -> str:
    config = load_config(values, "dev", "Pulumi.dev.yaml")
    with pytest.raises(ConfigError) as raised:
        check_deployer(config, REAL, ROLE)
    return str(raised.value)


def test_every_example_is_refused_with_a_real_account_in_one_run() -> None:
    said = refusal(dict(stack_values("dev")))
    for key in (
        "teal:github.repository: example/teal", "teal:web.domain", "teal:web.hosted_zone_id", "teal:web.allowed_cidrs: 192.0.2.0/24",
        "teal:cluster.endpoint_cidrs: 192.0.2.0/24", "teal:cluster.admin_role_arns", "teal:alerts.email",
    ):  # fmt: skip
        assert key in said


def test_a_stranger_s_repository_alone_is_refused() -> None:
    values = {**stack_values("dev"), **MENDED, "teal:github": {"repository": "example/teal", "environment": "dev"}}
    said = refusal(values)
    assert "teal:github.repository" in said
    assert "teal:web" not in said


def test_an_operator_s_own_values_are_accepted() -> None:
    config = load_config({**stack_values("dev"), **MENDED}, "dev", "x")
    check_deployer(config, REAL, ROLE)


@pytest.mark.parametrize("value", ["198.51.100.7/32", "203.0.113.0/24"])
def test_all_networks_for_documentation_are_known(value: str) -> None:
    assert list(examples.leftover_examples({"web": {"allowed_cidrs": [value]}}))


@pytest.mark.parametrize("value", ["0.0.0.0/0", "10.0.0.0/8", "acme/example", "myexample.company"])
def test_what_only_looks_like_an_example_is_none(value: str) -> None:
    assert not list(examples.leftover_examples({"x": value}))


def test_a_stack_without_github_makes_no_role_for_anybody_s_workflows() -> None:
    values = {key: value for key, value in stack_values("dev").items() if key != "teal:github"}
    made = evaluation.evaluate_program("teal", evaluation.ROOT / "infra" / "__main__.py", "dev", values)
    assert "githubusercontent" not in json.dumps([dict(each.inputs) for each in made.resources], default=str)
    assert not [each for each in made.resources if "github" in each.name]
    assert made.outputs["role_arns"] == {}
    assert "up" not in admins(load_config(values, "dev", "x"), REAL)
