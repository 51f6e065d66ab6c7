"""Takes an environment down: first the colors, then the platform in order of dependency, then a report of what is left.

Data stays unless its deletion was requested explicitly.
Each phase is a `pulumi destroy`; after an interruption the same command goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from botocore.exceptions import ClientError

from teal.aws.names import StateNames
from teal.aws.pulumi.cli import PulumiCli
from teal.aws.session import Aws, is_missing, translate_aws_errors
from teal.aws.teardown import emptying, final_copies, leftovers, order
from teal.errors import NeedsHuman
from teal.events import Event

FORGET_UNREACHABLE: Final = {"PULUMI_K8S_DELETE_UNREACHABLE": "true"}
_GONE: Final = ("DELETING", "FAILED")


class BillableLeft(NeedsHuman):
    """Something still costs money."""

    code = "billable-left"


@dataclass(frozen=True, slots=True)
class DestroyRequest:
    """What the operator asked for. `cluster_gone`: remove the cluster's objects from the state instead of deleting them."""

    stack: str
    delete_data: bool = False
    cluster_gone: bool = False


@dataclass(frozen=True, slots=True)
class DestroyPlan:
    """What will be deleted, shown before it happens."""

    names: StateNames
    request: DestroyRequest
    colors: tuple[str, ...]
    phases: tuple[order.Phase, ...]
    resources: int
    data: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Programs:
    """Both Pulumi programs of one environment."""

    platform: PulumiCli
    service: PulumiCli

    def forgetting(self) -> Programs:
        """The same programs, which remove objects of an unreachable cluster from the state only."""
        return Programs(
            *(replace(one, environment={**one.environment, **FORGET_UNREACHABLE}) for one in (self.platform, self.service))
        )


def programs(root: Path, names: StateNames) -> Programs:
    """The programs of this repository, with their state in this account."""
    return Programs(PulumiCli(root, names.backend_url), PulumiCli(root / "infra" / "service", names.backend_url))


def plan_destroy(found: Programs, names: StateNames, request: DestroyRequest) -> DestroyPlan:
    """Read both states; nothing is changed."""
    resources = found.platform.resources(request.stack) if request.stack in found.platform.stacks() else ()
    return DestroyPlan(
        names,
        request,
        order.color_stacks(request.stack, found.service.stacks()),
        order.phases(resources),
        len(resources),
        tuple(f"{one.name} ({one.type})" for one in order.resources_with_data(resources)),
    )


def run_destroy(aws: Aws, found: Programs, plan: DestroyPlan) -> Iterator[Event]:
    """Delete. Ends with the report of what is left; raises BillableLeft when some of it costs money."""
    stack, request = plan.request.stack, plan.request
    gone = request.cluster_gone or (bool(plan.phases) and cluster_is_gone(aws, plan.names.prefix))
    if gone:
        found = found.forgetting()
        yield Event("cluster", "warn", "it is gone: what was in it is forgotten, and looked for by tag at the end")
    for color in plan.colors:
        yield Event("colors", "start", f"deleting {color}")
        found.service.destroy(color)
        found.service.remove(color)
        yield Event("colors", "ok", f"{color} is deleted")
    if plan.resources:
        yield from _platform(aws, found, plan)
    if request.delete_data:
        copies = *final_copies.delete_final_snapshots(aws, plan.names), *final_copies.delete_retained_backups(aws, plan.names)
        yield Event("copies", "ok", f"{', '.join(copies)}: deleted" if copies else "RDS keeps no copy of the database")
    yield from report_leftovers(aws, stack, request)


def _platform(aws: Aws, found: Programs, plan: DestroyPlan) -> Iterator[Event]:
    stack, request = plan.request.stack, plan.request
    resources = found.platform.resources(stack)
    bound = () if request.delete_data else order.bound_data(plan.phases, resources)
    if bound:  # Pulumi would refuse half way
        raise NeedsHuman(
            f"{', '.join(one.name for one in bound)} cannot be kept: in Pulumi's state it needs what is to be deleted",
            where=f"the platform's stack {stack}",
            next=f"pulumi state delete '{bound[0].urn}' --stack {stack} to keep it outside of Pulumi, then this again",
        )
    if request.delete_data:
        yield Event("data", "start", f"emptying {len(plan.data)} stores")
        emptying.open_up(aws, order.resources_with_data(resources))
        final_copies.delete_final_snapshots(aws, plan.names)  # an earlier environment's has the name that RDS will use
        yield Event("data", "ok", "stores are empty and may be deleted")
    emptying.take_protection_off(aws, resources)
    found.platform.unprotect(stack, order.to_unprotect(resources, delete_data=request.delete_data))
    if not request.delete_data:
        found.platform.protect(stack, order.guards_of_data(plan.phases, resources))
    for phase in plan.phases:
        known = {one.urn for one in found.platform.resources(stack)}
        targets = [urn for urn in phase.targets if urn in known]  # an earlier phase may have taken dependents with it
        if not targets:
            continue
        yield Event(phase.name, "start", f"deleting {len(targets)}")
        found.platform.destroy(stack, targets)
        remaining = {one.urn for one in found.platform.resources(stack)} & set(targets)
        if remaining:  # the provider waits for finalizers, so it gave up on these deletions
            raise NeedsHuman(f"{len(remaining)} of them are still there: {sorted(remaining)[0]}", where=phase.name,
                             next="kubectl get --all-namespaces elasticsearch,kibana,scaledobject, then run this again")  # fmt: skip
        yield Event(phase.name, "ok", f"{len(targets)} deleted")
    yield Event("network and the rest", "start", "deleting what is left")
    found.platform.destroy(stack, exclude_protected=not request.delete_data)
    rest = found.platform.resources(stack)
    if not rest:
        found.platform.remove(stack)
    yield Event("network and the rest", "ok", f"{len(rest)} kept, because data needs them" if rest else "all deleted")


def report_leftovers(aws: Aws, stack: str, request: DestroyRequest) -> Iterator[Event]:
    """One event for each resource that is left; raises BillableLeft."""
    found = leftovers.remaining_resources(aws, stack)
    billable = [one for one in found if one.billable and not one.state_of_pulumi]
    for one in found:
        what = "billable" if one.billable else "free"
        note = "Pulumi's state, kept by intent" if one.state_of_pulumi else f"{what}{', holds data' if one.holds_data else ''}"
        yield Event("leftover", "warn" if one in billable else "ok", f"{one.arn}: {note}", data=one.fields())
    if billable:
        held = sum(one.holds_data for one in billable)
        raise BillableLeft(
            f"{len(billable)} resources are left that cost money; {held} of them hold data",
            where=f"resources tagged teal:stack={stack}",
            next="delete each, listed above; AWS may list a resource for an hour after its end: teal destroy again"
            if request.delete_data
            else f"teal destroy {stack} --delete-data, if the data may be lost for good",
        )
    yield Event("leftovers", "ok", "nothing billable is left")


def cluster_is_gone(aws: Aws, name: str, ask: Callable[[], str] | None = None) -> bool:
    """Whether AWS has no working cluster of this name, so that objects in it cannot be deleted any more."""
    with translate_aws_errors("Asking for the cluster", name):
        try:
            status = ask() if ask else str(aws.eks.describe_cluster(name=name)["cluster"]["status"])
        except ClientError as error:
            if is_missing(error):
                return True
            raise
    return status in _GONE
