"""Which identities a role can take over: a small model of AWS's access decisions,
and a search for every way from one identity to another.

Unknown facts are decided in the attacker's favour: a condition on something that the attacker chooses, or that is not modelled,
counts as met, and a denial under such a condition does not count. So a way that is found may not exist in reality, but a modelled
kind of way that is not found does not exist. `WAYS` lists the modelled kinds. Services that hand out a role in other ways are not
modelled (`_COMPUTE` has those that are).
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

Statement = Mapping[str, Any]
Context = Mapping[str, str | None]  # None: the request has no such key
EVERYTHING: Final[Statement] = {"Effect": "Allow", "Action": "*", "Resource": "*"}
ADMINISTRATOR: Final = "administrator"


@dataclass(frozen=True)
class IamRole:
    """One identity. `trust`: who may assume it. `boundary`: None if it has none. `groups`: its groups in the cluster."""

    arn: str
    trust: tuple[Statement, ...] = ()
    policies: tuple[Statement, ...] = ()
    boundary: str | None = None
    runs_as: tuple[str, ...] = ()  # known programs that run with it: a machine, a function, a cluster
    managed: tuple[Statement, ...] = ()  # statements of its AWS managed policies
    groups: tuple[str, ...] = ()  # its groups in the cluster

    @property
    def granted(self) -> tuple[Statement, ...]:
        """All statements that allow or deny something to the role, its own and those of managed policies."""
        return (*self.policies, *self.managed)

    @property
    def name(self) -> str:
        return self.arn.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Account:
    """Every identity, and the customer's policies by ARN.
    `steers`: files whose writer controls what a role does (Pulumi's state)."""

    roles: Mapping[str, IamRole]
    boundaries: Mapping[str, tuple[Statement, ...]] = field(default_factory=dict[str, tuple[Statement, ...]])
    steers: Mapping[str, str] = field(default_factory=dict[str, str])
    images: str = ""  # the only repository whose images may run (infra/platform/cluster/admission.py)
    pods: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict[str, tuple[str, ...]]
    )  # the roles of the pods that each group may create

    @property
    def rewritten(self) -> frozenset[str]:
        """Boundaries that were rewritten and limit nothing any more."""
        return frozenset(arn for arn, within in self.boundaries.items() if EVERYTHING in within)


@dataclass(frozen=True)
class RoleGain:
    """One step of a way: the attacker now also has `role`, by the means `how`."""

    role: IamRole
    how: str


def is_allowed(account: Account, role: IamRole, action: str, resource: str, context: Context | None = None) -> bool:
    """Whether AWS allows `action` to `role`: no statement denies it, a policy of the role allows it,
    and the boundary does too."""
    within = account.boundaries.get(role.boundary, (EVERYTHING,)) if role.boundary else (EVERYTHING,)
    asked = (action, resource, context or {})
    if any(_fits(one, *asked) for one in (*role.granted, *within) if one["Effect"] == "Deny"):
        return False
    return all(any(_fits(one, *asked) for one in part if one["Effect"] == "Allow") for part in (role.granted, within))


def _fits(statement: Statement, action: str, resource: str, context: Context) -> bool:
    if "NotAction" in statement:
        if any(_like(action.lower(), one.lower()) for one in as_texts(statement["NotAction"])):
            return False
    elif not any(_like(action.lower(), one.lower()) for one in as_texts(statement["Action"])):
        return False
    if "NotResource" in statement:
        if any(_like(resource, one) for one in as_texts(statement["NotResource"])):
            return False
    elif not any(_like(resource, one) for one in as_texts(statement.get("Resource", "*"))):
        return False
    denies = statement["Effect"] == "Deny"
    tests = [(how, key, as_texts(values)) for how, keys in statement.get("Condition", {}).items() for key, values in keys.items()]
    return all(_met(how, key, values, context, unknown=not denies) for how, key, values in tests)


def _met(how: str, key: str, values: Sequence[str], context: Context, *, unknown: bool) -> bool:
    kind = how.rpartition(":")[2]
    if key not in context:
        return unknown
    value = context[key]
    if kind == "Null":
        return (value is None) == (str(values[0]).lower() == "true")
    if value is None:
        return kind.endswith("IfExists") or kind.startswith(("StringNot", "ArnNot"))
    kind = kind.removesuffix("IfExists")
    matches = any(_like(value, one) if kind.endswith("Like") or kind.startswith("Arn") else value == one for one in values)
    if kind in ("StringNotEquals", "StringNotLike", "ArnNotEquals", "ArnNotLike"):
        return not matches
    return matches if kind in ("StringEquals", "StringLike", "ArnEquals", "ArnLike") else unknown


def _like(value: str, pattern: str) -> bool:
    """Match with IAM's wildcards * and ?, which cover every character.
    A `*` in `value` stands for any text that the attacker chooses."""
    if "*" in value:
        return fnmatch.fnmatchcase(pattern.replace("[", "[[]"), value.replace("[", "[[]")) or _glob(value, pattern)
    return _glob(value, pattern)


def _glob(value: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def as_texts(value: Any) -> list[str]:
    """A list of texts: IAM accepts a single text in place of a list."""
    return [value] if isinstance(value, str) else list(cast(Iterable[str], value))


def ways(account: Account, start: IamRole) -> dict[str, tuple[str, ...]]:
    """Every identity that `start` can take over, by name, with the steps. `ADMINISTRATOR` stands for unlimited rights."""
    found: dict[str, tuple[str, ...]] = {}
    seen: set[str] = set()
    waiting: list[tuple[IamRole, Account, tuple[str, ...]]] = [(start, account, ())]
    while waiting:
        held, then, steps = waiting.pop(0)
        state = json.dumps([held.arn, held.policies, held.boundary, sorted(then.rewritten)])
        if state in seen:
            continue
        seen.add(state)
        if steps and held.arn != start.arn:
            found.setdefault(held.name, steps)
        if is_allowed(then, held, "iam:CreateUser", "*", {}) and is_allowed(then, held, "iam:AttachUserPolicy", "*", {}):
            found.setdefault(ADMINISTRATOR, (*steps, f"{held.name} may do anything to identities"))
        for way in WAYS:
            for gain, after in way(then, held):
                waiting.append((gain.role, after, (*steps, f"{held.name} {gain.how}")))
    return found


Step = Iterator[tuple[RoleGain, Account]]


def _takes(account: Account, held: IamRole) -> Step:
    """sts:AssumeRole of a role whose trust policy names the account or the held role."""
    for other in account.roles.values():
        named = [principal for one in other.trust for principal in as_texts(dict(one.get("Principal", {})).get("AWS", []))]
        direct = held.arn in named or "*" in named
        whole = any(one.endswith(":root") for one in named) and is_allowed(account, held, "sts:AssumeRole", other.arn)
        if other.arn != held.arn and (direct or whole):
            yield RoleGain(other, f"takes {other.name}, which trusts it"), account


def _opens(account: Account, held: IamRole) -> Step:
    """iam:UpdateAssumeRolePolicy: the held role adds itself to another role's trust policy."""
    for other in account.roles.values():
        if other.arn != held.arn and is_allowed(account, held, "iam:UpdateAssumeRolePolicy", other.arn, _bound(other.boundary)):
            yield RoleGain(other, f"changes who may take {other.name}"), account


def _gives(account: Account, held: IamRole) -> Step:
    """iam:PutRolePolicy and similar actions: more rights for a role that the attacker has."""
    for action in ("iam:PutRolePolicy", "iam:AttachRolePolicy"):
        if EVERYTHING not in held.policies and is_allowed(account, held, action, held.arn, _bound(held.boundary)):
            more = replace(held, policies=(*held.policies, EVERYTHING))
            yield RoleGain(more, f"gives itself all rights by {action}"), account


def _unbinds(account: Account, held: IamRole) -> Step:
    """The boundary of a role that the attacker has is removed, or replaced by one that allows everything."""
    if held.boundary is None:
        return
    free = replace(held, boundary=None)
    if is_allowed(account, held, "iam:DeleteRolePermissionsBoundary", held.arn, _bound(held.boundary)):
        yield RoleGain(free, "takes its own boundary away"), account
    other = "arn:aws:iam::aws:policy/AdministratorAccess"
    if is_allowed(account, held, "iam:PutRolePermissionsBoundary", held.arn, _bound(other)):
        yield RoleGain(free, "exchanges its own boundary"), account


def _makes(account: Account, held: IamRole) -> Step:
    """A new role with all rights that the attacker may assume, under any boundary that the attacker may choose."""
    name = next((role.arn for role in account.roles.values()), held.arn).rsplit("/", 1)[0] + "/"
    for pattern in {one for statement in held.granted for one in as_texts(statement.get("Resource", [])) if ":role/" in one} | {
        f"{name}made"
    }:
        new = pattern.replace("*", "made")
        for boundary in (None, *account.boundaries, "arn:aws:iam::aws:policy/AdministratorAccess"):
            gives = any(is_allowed(account, held, f"iam:{one}RolePolicy", new, _bound(boundary)) for one in ("Put", "Attach"))
            if gives and is_allowed(account, held, "iam:CreateRole", new, _bound(boundary)):
                made = IamRole(new, policies=(EVERYTHING,), boundary=boundary if boundary in account.boundaries else None)
                yield RoleGain(made, f"makes {made.name} under {(boundary or 'no boundary').rsplit('/', 1)[-1]}"), account


def _rewrites(account: Account, held: IamRole) -> Step:
    """A new version of a policy that is a boundary: the roles under it then have no limit."""
    for arn in account.boundaries:
        if EVERYTHING not in account.boundaries[arn] and is_allowed(account, held, "iam:CreatePolicyVersion", arn):
            open_ = replace(account, boundaries={**account.boundaries, arn: (EVERYTHING,)})
            yield RoleGain(held, f"rewrites {arn.rsplit('/', 1)[-1]}"), open_


# Actions that start a program of the caller with a passed role, by the service that the role must trust.
_COMPUTE: Final[Mapping[str, tuple[str, ...]]] = {
    "ec2.amazonaws.com": ("ec2:RunInstances",),
    "lambda.amazonaws.com": ("lambda:CreateFunction",),
    "ecs-tasks.amazonaws.com": ("ecs:RunTask",),
    "codebuild.amazonaws.com": ("codebuild:CreateProject",),
    "cloudformation.amazonaws.com": ("cloudformation:CreateStack",),
    "glue.amazonaws.com": ("glue:CreateDevEndpoint", "glue:CreateJob"),
    "sagemaker.amazonaws.com": ("sagemaker:CreateNotebookInstance",),
    "states.amazonaws.com": ("states:CreateStateMachine",),
    "pods.eks.amazonaws.com": ("eks:CreatePodIdentityAssociation",),
    "eks.amazonaws.com": ("eks:CreateCluster",),  # who makes a cluster is its administrator
}
# Actions that change a program that already runs with a role.
_RUNNING: Final[Mapping[str, tuple[str, ...]]] = {
    "ec2.amazonaws.com": (
        "ssm:SendCommand",
        "ssm:StartSession",
        "ec2:ModifyInstanceAttribute",
        "ec2-instance-connect:SendSSHPublicKey",
    ),
    "lambda.amazonaws.com": ("lambda:UpdateFunctionCode",),
    "codebuild.amazonaws.com": ("codebuild:UpdateProject",),
    # A role that may write access entries can become cluster administrator, and so take over every pod.
    "pods.eks.amazonaws.com": ("eks:CreateAccessEntry", "eks:AssociateAccessPolicy"),
    # A cluster administrator controls what Auto Mode does with the cluster's role: a NodeClass names the role of its machines.
    "eks.amazonaws.com": ("eks:CreateAccessEntry", "eks:AssociateAccessPolicy"),
}
# Resources outside the stack do not have the tag of the stack's cluster.
_OF_OTHERS: Final[Context] = {"aws:ResourceTag/eks:eks-cluster-name": None}


def _passes(account: Account, held: IamRole) -> Step:
    """iam:PassRole to a service that runs the caller's program with the role."""
    for other in account.roles.values():
        for service in _trusted(other):
            starts = [one for one in _COMPUTE.get(service, ()) if _somewhere(account, held, one)]
            if starts and is_allowed(account, held, "iam:PassRole", other.arn, {"iam:PassedToService": service}):
                yield RoleGain(other, f"passes {other.name} by {starts[0]}"), account


def _enters(account: Account, held: IamRole) -> Step:
    """A machine, function or pod that runs with the role is changed to run the attacker's program."""
    for other in account.roles.values():
        for service in _trusted(other):
            changes = [
                one
                for one in _RUNNING.get(service, ())
                if (
                    any(is_allowed(account, held, one, thing, _OF_OTHERS) for thing in other.runs_as)
                    if other.runs_as
                    else _somewhere(account, held, one)
                )
            ]
            if changes and other.arn != held.arn:
                yield RoleGain(other, f"changes what runs as {other.name} by {changes[0]}"), account


def _forges(account: Account, held: IamRole) -> Step:
    """The identity provider that a role trusts is changed, so that it accepts the attacker's tokens."""
    for other in account.roles.values():
        for statement in other.trust:
            for provider in as_texts(dict(statement.get("Principal", {})).get("Federated", [])):
                for action in ("iam:UpdateOpenIDConnectProviderThumbprint", "iam:DeleteOpenIDConnectProvider"):
                    if other.arn != held.arn and is_allowed(account, held, action, provider):
                        yield RoleGain(other, f"forges tokens for {other.name} by {action}"), account


def _users(account: Account, held: IamRole) -> Step:
    """A user of the account, possibly an administrator, gets an access key or password that the attacker knows."""
    for action in ("iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:UpdateLoginProfile"):
        if is_allowed(account, held, action, "arn:aws:iam::123456789012:user/administrator"):
            yield (
                RoleGain(
                    IamRole("arn:aws:iam::123456789012:user/administrator", policies=(EVERYTHING,)), f"signs in by {action}"
                ),
                account,
            )


def _runs(account: Account, held: IamRole) -> Step:
    """The attacker may create pods in the cluster and push the image that they run,
    so the attacker's code gets the pods' role."""
    if account.images and is_allowed(account, held, "ecr:PutImage", account.images):
        for arn in {arn for group in held.groups for arn in account.pods.get(group, ())}:
            yield RoleGain(account.roles[arn], f"pushes an image and runs it as {account.roles[arn].name}"), account


def _steers(account: Account, held: IamRole) -> Step:
    """The attacker writes the state that another role acts on."""
    for file, arn in account.steers.items():
        if held.arn != arn and is_allowed(account, held, "s3:PutObject", file):
            yield RoleGain(account.roles[arn], f"writes the state that {account.roles[arn].name} acts on"), account


WAYS: Final[tuple[Callable[[Account, IamRole], Step], ...]] = (
    _takes, _opens, _gives, _unbinds, _makes, _rewrites, _passes, _enters, _forges, _users, _runs, _steers,
)  # fmt: skip


def _bound(boundary: str | None) -> Context:
    return {"iam:PermissionsBoundary": boundary}


def _trusted(role: IamRole) -> set[str]:
    return {service for one in role.trust for service in as_texts(dict(one.get("Principal", {})).get("Service", []))}


def _somewhere(account: Account, held: IamRole, action: str) -> bool:
    """Whether the role may do `action` on any resource."""
    patterns = {
        one for statement in held.granted if statement["Effect"] == "Allow" for one in as_texts(statement.get("Resource", "*"))
    }
    return any(is_allowed(account, held, action, one) for one in patterns)


# Identities that many accounts have besides the stack's; none of these may be reachable.
OTHERS: Final = tuple(
    IamRole(
        f"arn:aws:iam::123456789012:role/other-{name}",
        ({"Effect": "Allow", "Principal": principal},),
        (EVERYTHING,),
        runs_as=(f"arn:aws:{thing}",) if thing else (),
    )
    for name, principal, thing in (
        ("machine", {"Service": "ec2.amazonaws.com"}, "ec2:eu-central-1:123456789012:instance/i-0"),
        ("function", {"Service": "lambda.amazonaws.com"}, "lambda:eu-central-1:123456789012:function:other"),
        ("build", {"Service": "codebuild.amazonaws.com"}, "codebuild:eu-central-1:123456789012:project/other"),
        ("stack", {"Service": "cloudformation.amazonaws.com"}, None),
        ("cluster", {"Service": "eks.amazonaws.com"}, "eks:eu-central-1:123456789012:cluster/other"),
        ("person", {"AWS": "arn:aws:iam::123456789012:root"}, None),
    )
)


def statements(document: str | Mapping[str, Any]) -> tuple[Statement, ...]:
    """The statements of a policy document."""
    found: Any = json.loads(document) if isinstance(document, str) else document
    return tuple(found["Statement"])
