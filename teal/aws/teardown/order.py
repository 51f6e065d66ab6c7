"""The order in which an environment is taken down. Pure functions over the resources in the state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from teal.aws.pulumi.cli import StateResource

# What cannot be made again by `pulumi up`: documents, their copies, the keys that open them, the images that were released.
# Metrics are not in it: they describe the environment and are deleted with it.
# Search data is on volumes that outlive the cluster (the class says Retain), so nothing of Kubernetes is in this list.
DATA_TYPES: Final = (
    "aws:s3/bucket:Bucket",
    "aws:rds/instance:Instance",
    "aws:backup/vault:Vault",
    "aws:kms/key:Key",
    "aws:ecr/repository:Repository",
)
# These make a kept bucket private, encrypted and versioned.
# Each is a separate resource, which would be deleted while the bucket stays.
_GUARDS: Final = re.compile(r"^aws:s3/bucket[A-Z]")
# Kinds of objects that their Kubernetes operator must clean up, so it must still be running when they are deleted.
_OPERATED: Final = re.compile(r"^kubernetes:[a-z0-9.-]*(elastic\.co|keda\.sh|x-k8s\.io)/")
_OPERATORS: Final = "kubernetes:helm.sh/"
# Pulumi's own entry, by which it reaches the cluster. Deleted together with the cluster by `--target`, it made 3.274.1 end with `grpc: the client
# connection is closing` and delete nothing: looking for dependents, the engine compares the entry once for each target that it depends on, and stops
# its plugin after the first comparison that finds a replacement (Registry.Diff in pkg/resource/deploy/providers/registry.go).
_CLUSTER_ACCESS: Final = "pulumi:providers:kubernetes"


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of the tear-down: what is deleted, and why then."""

    name: str
    why: str
    targets: tuple[str, ...]


def phases(resources: Iterable[StateResource]) -> tuple[Phase, ...]:
    """The phases, without empty ones: custom resources before their operators, all of Kubernetes before the way to
    it, that before the cluster, the cluster before its network.

    A phase includes the dependents of its targets, such as a secret's version made from the cluster's outputs. They are listed
    here rather than left to Pulumi's --target-dependents, so that the plan shows them before anything is deleted.
    """
    everything = tuple(resources)
    rest = list(everything)
    found: list[Phase] = []
    for name, why, belongs in (
        ("custom resources", "their operators must still run to clean up", lambda kind: bool(_OPERATED.match(kind))),
        ("operators", "nothing is left that they look after", lambda kind: kind.startswith(_OPERATORS)),
        (
            "cluster objects",
            "load balancers and volumes are freed by the cluster itself",
            lambda kind: kind.startswith("kubernetes:"),
        ),
        ("cluster access", "nothing is left that Pulumi reaches by it", lambda kind: kind == _CLUSTER_ACCESS),
        ("cluster", "nothing is left in it", lambda kind: kind.startswith("aws:eks/")),
    ):
        targets = with_dependents((one.urn for one in rest if belongs(one.type)), everything)
        if targets:
            found.append(Phase(name, why, targets))
        rest = [one for one in rest if one.urn not in targets]
    return tuple(found)


def with_dependents(urns: Iterable[str], resources: Sequence[StateResource]) -> tuple[str, ...]:
    """These resources and all that depend on them, directly or indirectly, in the state's order."""
    chosen = set(urns)
    while True:
        more = {one.urn for one in resources if one.urn not in chosen and not chosen.isdisjoint(one.dependencies)}
        if not more:
            return tuple(one.urn for one in resources if one.urn in chosen)
        chosen |= more


def to_unprotect(resources: Iterable[StateResource], *, delete_data: bool) -> tuple[str, ...]:
    """The protected resources to delete: all without data, and with `delete_data` those with data too."""
    return tuple(one.urn for one in resources if one.protect and (delete_data or one.type not in DATA_TYPES))


def resources_with_data(resources: Iterable[StateResource]) -> tuple[StateResource, ...]:
    """The resources that contain data."""
    return tuple(one for one in resources if one.type in DATA_TYPES)


def guards_of_data(planned: Iterable[Phase], resources: Iterable[StateResource]) -> tuple[str, ...]:
    """Resources that must stay because they protect data that stays."""
    going = {urn for phase in planned for urn in phase.targets}
    return tuple(one.urn for one in resources if _GUARDS.match(one.type) and one.urn not in going)


def bound_data(planned: Iterable[Phase], resources: Iterable[StateResource]) -> tuple[StateResource, ...]:
    """Resources with data that a phase would have to delete too, because they depend on one of its targets."""
    going = {urn for phase in planned for urn in phase.targets}
    return tuple(one for one in resources_with_data(resources) if one.urn in going)


def color_stacks(stack: str, known: Sequence[str]) -> tuple[str, ...]:
    """The color stacks of an environment that exist."""
    return tuple(name for name in (f"{stack}-blue", f"{stack}-green") if name in known)
