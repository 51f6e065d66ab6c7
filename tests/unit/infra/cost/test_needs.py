"""What a stack needs of an account comes from the program itself: its machines, addresses, versions and models."""

from __future__ import annotations

from dataclasses import replace

from infra.config.read import Config, load_config
from infra.cost import prices
from infra.cost.needs import CPU_SECONDS_A_QUESTION, StackNeeds, capacity_questions_per_second, stack_needs
from infra.evaluation.evaluate import stack_values
from infra.platform.cluster import addons
from tests.unit.infra.conftest import STACKS, evaluate


def config(stack: str, **more: object) -> Config:
    return load_config({**stack_values(stack), **more}, stack, f"Pulumi.{stack}.yaml")


def needed(stack: str, **more: object) -> StackNeeds:
    made = config(stack, **more)
    hourly = {key.removeprefix("ec2:"): one.usd for key, one in prices.load_prices("us-east-1").items() if key.startswith("ec2:")}
    return stack_needs(evaluate("platform", stack).resources, made, hourly)


def test_dev_needs_more_vcpu_than_a_new_account_has_and_a_release_more_still() -> None:
    found = needed("dev")
    assert found.vcpus > 5
    assert found.vcpus_in_release > found.vcpus


def test_what_is_asked_for_is_what_the_program_registers() -> None:
    for stack in STACKS:
        found = needed(stack)
        assert found.addons == addons.VERSIONS
        assert found.engines == {"postgres": "17", "valkey": "8.0"}
        assert found.kubernetes == config(stack).cluster.version
        assert found.elastic_ips == {"single": 1, "per-az": config(stack).network.zones}[config(stack).network.nat]
        assert found.models == ("amazon.titan-embed-text-v2:0",)


def test_capacity_grows_with_pods_and_is_what_was_measured_of_one_core() -> None:
    prod = config("prod")
    assert (
        capacity_questions_per_second(prod, 2) == 2 * capacity_questions_per_second(prod, 1)
        or capacity_questions_per_second(prod, 2) == 2 * capacity_questions_per_second(prod, 1) + 1
    )  # whole questions
    whole = replace(prod, service=prod.service.model_copy(update={"cpu": "1", "target_cpu_percent": 100}))
    assert capacity_questions_per_second(whole, 1) == int(1 / CPU_SECONDS_A_QUESTION)


def test_the_expected_load_decides_how_many_tokens_are_asked_for() -> None:
    found = needed("dev", **{"teal:expected_load": 100})
    assert found.expected_per_second == 100
    assert found.embed_tokens_per_minute == 100 * 60 * 50
