"""What each stack registers, one line a resource: `python -m tests.unit.infra.inventory` writes it, test_inventory.py compares.

A line: type, name, and the options that say how it may go away. A change of the platform is a change of these files, and is reviewed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from infra.evaluation.evaluate import Evaluation, RegisteredResource
from tests.unit.infra.conftest import STACKS, evaluate

FOLDER = Path(__file__).parent / "inventory"
# What an operator would want to see change: sizes, counts and modes, by type.
SHOWN = {
    "aws:rds/instance:Instance": ("instanceClass", "multiAz", "allocatedStorage", "engineVersion", "backupRetentionPeriod"),
    "aws:elasticache/replicationGroup:ReplicationGroup": ("nodeType", "numCacheClusters", "engineVersion"),
    "aws:eks/cluster:Cluster": ("version",),
    "aws:ec2/subnet:Subnet": ("cidrBlock", "availabilityZone"),
    "aws:cloudwatch/logGroup:LogGroup": ("retentionInDays",),
    "aws:budgets/budget:Budget": ("limitAmount",),
}


def lines(result: Evaluation) -> list[str]:
    """The inventory of one evaluation, sorted: registration order is not a promise."""
    return sorted(_line(each) for each in result.resources)


def _line(resource: RegisteredResource) -> str:
    return " ".join([resource.type, resource.name, *_options(resource)])


def _options(resource: RegisteredResource) -> Iterator[str]:
    for key in SHOWN.get(resource.type, ()):
        yield f"{key}={resource.inputs[key]}"
    if resource.protect:
        yield "protect"
    if resource.retain_on_delete:
        yield "retain"
    if resource.ignore_changes:
        yield f"ignore={','.join(resource.ignore_changes)}"


def write() -> None:
    """Write every stack's file anew."""
    FOLDER.mkdir(exist_ok=True)
    for stack in STACKS:
        (FOLDER / f"{stack}.txt").write_text("\n".join(lines(evaluate("platform", stack))) + "\n")
        (FOLDER / f"{stack}-service.txt").write_text("\n".join(lines(evaluate("service", stack))) + "\n")


if __name__ == "__main__":
    write()
