"""Computes, from a stack's resources and settings, what it needs of an AWS account, and how many questions a second it carries.

`teal plan` and `teal bootstrap` compare the needs with the account (teal/aws/fit.py),
and show the capacity before and after a change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from infra.config.read import Config
from infra.cost import capacity
from infra.cost.items import PricedResource

# CPU of the app for a search that no cache answers, with 26,490 passages: the largest of the table in docs/performance.md, "Growth", measured
# 2026-11-26. More than half of it is the embedding model, which on AWS is Bedrock's: so a pod there carries more than this says.
CPU_SECONDS_A_QUESTION: Final = 0.013
_EMBED_TOKENS_A_QUESTION: Final = 50  # longer than most questions; documents come on top when many are ingested at once


@dataclass(frozen=True)
class StackNeeds:
    """`vcpus`: machines at today's traffic; `vcpus_in_release`: while both colors run. `engines`: version by engine. `addons`: version by name.

    `questions_per_second`: at the smallest and the largest number of pods, by the app's CPU alone; database, cache, search and the model's
    quota may carry less.
    """

    vcpus: int
    vcpus_in_release: int
    elastic_ips: int
    kubernetes: str
    addons: Mapping[str, str]
    engines: Mapping[str, str]
    instance_class: str
    models: tuple[str, ...]
    embed_tokens_per_minute: int
    questions_per_second: tuple[int, int]
    expected_per_second: float | None


def stack_needs(resources: Sequence[PricedResource], config: Config, hourly: Mapping[str, float]) -> StackNeeds:
    """The needs of an evaluated stack. `hourly`: prices of machines by type, because the cheapest that fit are used."""
    wanted = capacity.pod_needs(config, 1)
    twice = tuple(replace(need, pods=2 * need.pods) if need.name == "service" else need for need in wanted)
    smallest, largest = (
        capacity_questions_per_second(config, pods) for pods in (config.service.min_replicas, config.service.max_replicas)
    )
    expected = config.expected_load
    return StackNeeds(
        vcpus=_vcpus(wanted, hourly),
        vcpus_in_release=_vcpus(twice, hourly),
        elastic_ips=sum(one.type == "aws:ec2/eip:Eip" for one in resources),
        kubernetes=config.cluster.version,
        addons={
            str(one.inputs["addonName"]): str(one.inputs.get("addonVersion", ""))
            for one in resources
            if one.type == "aws:eks/addon:Addon"
        },
        engines=dict(_engines(resources)),
        instance_class=config.database.instance_class,
        models=tuple(model for model in (config.models.embedding, config.models.generation) if model),
        embed_tokens_per_minute=round(60 * _EMBED_TOKENS_A_QUESTION * (expected or smallest)) if config.models.embedding else 0,
        questions_per_second=(smallest, largest),
        expected_per_second=expected,
    )


def capacity_questions_per_second(config: Config, pods: int) -> int:
    """Questions a second that this many pods carry, at the CPU share at which the autoscaler adds another."""
    return int(pods * capacity.pod_cpu(config) * config.service.target_cpu_percent / 100 / CPU_SECONDS_A_QUESTION)


def _vcpus(wanted: Sequence[capacity.PodNeed], hourly: Mapping[str, float]) -> int:
    found = [capacity.machines(need, hourly) for need in wanted]
    return sum(one.count * capacity.vcpus(one.type) for one in found if one is not None)


def _engines(resources: Sequence[PricedResource]) -> Iterator[tuple[str, str]]:
    for one in resources:
        inputs: Mapping[str, Any] = one.inputs
        if one.type in ("aws:rds/instance:Instance", "aws:elasticache/replicationGroup:ReplicationGroup"):
            yield str(inputs.get("engine", "postgres")), str(inputs["engineVersion"])
