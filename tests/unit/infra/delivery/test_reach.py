"""No role of the programs can come to more than it has: from preview not to release, from release not to up, from up not to the account."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from infra.delivery import reach_table
from infra.delivery.github_roles import KINDS
from infra.delivery.reach import ADMINISTRATOR, EVERYTHING, OTHERS, Account, IamRole, Statement, is_allowed, ways
from infra.delivery.reach_table import account_of
from infra.evaluation.evaluate import ROOT, stack_values
from infra.platform.cluster.eks import denied_actions
from tests.unit.infra.conftest import STACKS, Stack, evaluate

IAM = "arn:aws:iam::123456789012"


@functools.cache
def account(stack: Stack) -> Account:
    return account_of(evaluate("platform", stack), stack)


def role(stack: Stack, name: str) -> IamRole:
    return account(stack).roles[f"{IAM}:role/teal-{stack}-{name}"]


# Read from the files: pytest collects in every process, and to evaluate the programs there would cost each of them seconds.
WITH_GITHUB = [stack for stack in STACKS if "teal:github" in stack_values(stack)]


def test_there_is_something_to_search() -> None:
    assert [stack for stack in STACKS if any(one.endswith("github-up") for one in account(stack).roles)] == WITH_GITHUB
    assert WITH_GITHUB
    for stack in WITH_GITHUB:
        for kind in KINDS:
            assert role(stack, f"github-{kind}").policies


@pytest.mark.parametrize("stack", WITH_GITHUB)
@pytest.mark.parametrize("kind", ["preview", "build", "release"])
def test_a_preview_and_a_release_come_to_no_other_role(stack: Stack, kind: str) -> None:
    assert ways(account(stack), role(stack, f"github-{kind}")) == {}


@pytest.mark.parametrize("stack", WITH_GITHUB)
def test_the_platform_role_comes_to_bounded_roles_of_its_own_stack_alone(stack: Stack) -> None:
    found = ways(account(stack), role(stack, "github-up"))
    assert ADMINISTRATOR not in found, found.get(ADMINISTRATOR)
    own = {one.name: one for one in account(stack).roles.values()}
    for name, steps in found.items():
        assert name.startswith(f"teal-{stack}-"), steps
        # An administrator of the cluster has Auto Mode act, and Auto Mode's role has no boundary; it is held to the cluster's own machines.
        assert name not in own or own[name].boundary or name == f"teal-{stack}-cluster-control", steps
        assert "github" not in name, steps


@pytest.mark.parametrize("stack", STACKS)
def test_the_boundary_lets_every_role_do_its_own_work(stack: Stack) -> None:
    for one in account(stack).roles.values():
        for statement in one.policies if one.boundary else ():
            for action in [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]:
                for resource in [statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"]:
                    # The evaluation makes up the ARN of a rule from Pulumi's name; AWS has the load balancer's there.
                    at = resource.replace("/app/web-shares/", f"/app/teal-{stack}/")
                    bounded = IamRole(one.arn, policies=(EVERYTHING,), boundary=one.boundary)
                    assert is_allowed(account(stack), bounded, action, at), f"{one.name}: {action} on {resource}"


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:CreateUser", "*"),
        ("iam:PassRole", f"{IAM}:role/other-machine"),
        ("sts:AssumeRole", f"{IAM}:role/other-person"),
        ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:payroll-1"),
        ("kms:Decrypt", "arn:aws:kms:eu-central-1:123456789012:key/payroll"),
        ("s3:GetObject", "arn:aws:s3:::payroll/1"),
        ("ec2:RunInstances", "*"),
        ("rds:DeleteDBInstance", "arn:aws:rds:eu-central-1:123456789012:db:payroll"),
        ("route53:ChangeResourceRecordSets", "arn:aws:route53:::hostedzone/ZPAYROLL"),
    ],
)
def test_a_role_with_all_rights_under_the_boundary_reaches_nothing_of_others(action: str, resource: str) -> None:
    (bound,) = account("prod").boundaries
    made = IamRole(f"{IAM}:role/teal-prod-made", policies=(EVERYTHING,), boundary=bound)
    context = {"kms:ResourceAliases": "alias/payroll"}
    assert not is_allowed(account("prod"), made, action, resource, context)
    assert not is_allowed(account("prod"), role("prod", "github-up"), action, resource, context)
    state = "arn:aws:s3:::teal-prod-state-123456789012/.pulumi/stacks/teal/prod.json"
    assert not is_allowed(account("prod"), made, "s3:GetObject", state)


def test_another_databases_password_is_nobodys() -> None:
    secret, tag = (
        "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-1",
        "aws:ResourceTag/aws:rds:primaryDBInstanceArn",
    )
    own, other = ({tag: f"arn:aws:rds:eu-central-1:123456789012:db:{name}"} for name in ("teal-prod-db", "payroll"))
    (bound,) = account("prod").boundaries
    made = IamRole(f"{IAM}:role/teal-prod-made", policies=(EVERYTHING,), boundary=bound)
    assert is_allowed(account("prod"), made, "secretsmanager:GetSecretValue", secret, own)
    assert not is_allowed(account("prod"), made, "secretsmanager:GetSecretValue", secret, other)
    assert is_allowed(account("prod"), role("prod", "github-up"), "secretsmanager:RotateSecret", secret, own)
    assert not is_allowed(account("prod"), role("prod", "github-up"), "secretsmanager:RotateSecret", secret, other)


def allow(action: str | list[str], resource: str = "*", **condition: Mapping[str, Any]) -> Statement:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **({"Condition": condition} if condition else {})}


MACHINE = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}}
BOUND = f"{IAM}:policy/bound"
BAD: Mapping[str, tuple[list[Statement], str]] = {
    "all rights": ([EVERYTHING], ADMINISTRATOR),
    "more rights for itself": ([allow("iam:PutRolePolicy")], ADMINISTRATOR),
    "a policy for itself": ([allow("iam:Attach*")], ADMINISTRATOR),
    "the trust of another": ([allow("iam:UpdateAssumeRolePolicy", f"{IAM}:role/other-*")], ADMINISTRATOR),
    "a new role": ([allow(["iam:CreateRole", "iam:PutRolePolicy"], f"{IAM}:role/new-*")], ADMINISTRATOR),
    "a role for a machine": ([allow("iam:PassRole"), allow("ec2:RunInstances")], "other-machine"),
    "a role for a function": ([allow(["iam:PassRole", "lambda:*"])], "other-function"),
    "a machine that runs": ([allow("ssm:SendCommand")], "other-machine"),
    "another's network rights": ([allow("ec2:*")], "other-machine"),
    "a function that runs": ([allow("lambda:UpdateFunctionCode")], "other-function"),
    "a role of the account": ([allow("sts:AssumeRole")], "other-person"),
    "a user's key": ([allow("iam:CreateAccessKey")], "administrator"),
    "not this and not that": ([{"Effect": "Allow", "NotAction": ["s3:*"], "Resource": "*"}], ADMINISTRATOR),
    "the state of another": ([allow("s3:PutObject", "arn:aws:s3:::state/*")], "steered"),
    "a cluster of one's own": ([allow("iam:PassRole"), allow("eks:CreateCluster")], "other-cluster"),
    "a cluster that runs": ([allow("eks:CreateAccessEntry")], "other-cluster"),
    "the tokens of another": ([allow("iam:*OpenIDConnectProvider*")], "federated"),
}


@pytest.mark.parametrize("name", BAD)
def test_the_search_finds_what_is_known_to_be_bad(name: str) -> None:
    held, wanted = BAD[name]
    start = IamRole(f"{IAM}:role/start", policies=tuple(held))
    steered = IamRole(f"{IAM}:role/steered")
    federated = IamRole(
        f"{IAM}:role/federated", ({"Effect": "Allow", "Principal": {"Federated": f"{IAM}:oidc-provider/github"}},)
    )
    roles = {one.arn: one for one in (start, steered, federated, *OTHERS)}
    found = ways(Account(roles, steers={"arn:aws:s3:::state/file": steered.arn}), start)
    assert wanted in found


def read(name: str) -> tuple[Statement, ...]:
    """One of AWS' own policies."""
    found: list[Statement] = json.loads(reach_table.TEXTS.read_text())[name]["Statement"]
    return tuple(found)


@pytest.mark.parametrize("policy", ["AmazonEKSComputePolicy", "AmazonEKSClusterPolicy"])
def test_the_search_reads_aws_own_policies(policy: str) -> None:
    """Auto Mode's own: one passes any role of the account to a machine, the other changes any machine's start. Both are limited by the program."""
    roles = {one.arn: one for one in OTHERS}
    start = IamRole(f"{IAM}:role/start", managed=read(policy))
    assert "other-machine" in ways(Account(roles | {start.arn: start}), start)
    held = IamRole(start.arn, policies=tuple(denied_actions(f"{IAM}:role/own-machines", "teal-prod")), managed=start.managed)
    assert ways(Account(roles | {held.arn: held}), held) == {}


@pytest.mark.parametrize("stack", WITH_GITHUB)
def test_who_could_push_an_image_and_release_it_would_be_the_operator(stack: Stack) -> None:
    """So no role of ours has both: the release role had, until images got a role of their own."""
    release, build = role(stack, "github-release"), role(stack, "github-build")
    assert release.groups
    assert not build.groups
    both = replace(release, policies=(*release.policies, *build.policies))
    found = ways(replace(account(stack), roles={**account(stack).roles, both.arn: both}), both)
    assert {f"teal-{stack}-operator", f"teal-{stack}-app"} <= set(found)
    assert found[f"teal-{stack}-operator"] == (
        f"teal-{stack}-github-release pushes an image and runs it as teal-{stack}-operator",
    )


def test_every_role_with_a_policy_of_aws_has_it_in_the_search() -> None:
    assert {role("prod", name).name: len(role("prod", name).managed) > 3 for name in ("cluster-control",)} == {
        "teal-prod-cluster-control": True
    }
    assert role("prod", "cluster-nodes").managed
    assert role("prod", "cloudwatch-agent").managed


@pytest.mark.parametrize("stack", STACKS)
def test_who_is_the_cluster_has_no_machine_but_its_own(stack: Stack) -> None:
    assert set(ways(account(stack), role(stack, "cluster-control"))) <= {f"teal-{stack}-cluster-nodes"}


@pytest.mark.parametrize("stack", WITH_GITHUB)
def test_the_platform_role_passes_the_cluster_s_role_to_no_cluster_of_its_own(stack: Stack) -> None:
    for name in ("cluster-control", "github-up", "github-build"):
        arn = role(stack, name).arn
        assert not is_allowed(
            account(stack), role(stack, "github-up"), "iam:PassRole", arn, {"iam:PassedToService": "eks.amazonaws.com"}
        )


@pytest.mark.parametrize(
    ("held", "escapes"),
    [
        ([allow(["iam:CreateRole", "iam:PutRolePolicy"], StringEquals={"iam:PermissionsBoundary": BOUND})], False),
        ([allow("iam:CreateRole"), allow("iam:PutRolePolicy", StringEquals={"iam:PermissionsBoundary": BOUND})], False),
        ([allow(["iam:CreateRole", "iam:PutRolePolicy"], StringEqualsIfExists={"iam:PermissionsBoundary": BOUND})], True),
        ([allow(["iam:CreateRole", "iam:PutRolePolicy"], StringNotEquals={"iam:PermissionsBoundary": BOUND})], True),
        ([allow(["iam:CreateRole", "iam:PutRolePolicy", "iam:CreatePolicyVersion"], StringEquals={"iam:PermissionsBoundary": BOUND})], True),
        ([allow(["iam:CreateRole", "iam:PutRolePolicy"], StringEquals={"iam:PermissionsBoundary": BOUND}), allow("iam:CreatePolicyVersion")], True),
    ],
)  # fmt: skip
def test_a_boundary_holds_while_it_is_demanded_and_cannot_be_rewritten(held: list[Statement], escapes: bool) -> None:
    start = IamRole(f"{IAM}:role/start", policies=tuple(held))
    bounded = Account({start.arn: start}, {BOUND: (allow("s3:GetObject"),)})
    assert (ADMINISTRATOR in ways(bounded, start)) is escapes


def test_a_denial_counts_and_one_under_a_condition_that_may_not_hold_does_not() -> None:
    deny: Statement = {"Effect": "Deny", "Action": "iam:*", "Resource": "*"}
    start = IamRole(f"{IAM}:role/start", policies=(EVERYTHING, deny))
    assert not is_allowed(Account({}), start, "iam:CreateUser", "*")
    maybe = {**deny, "Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}}
    assert is_allowed(Account({}), IamRole(start.arn, policies=(EVERYTHING, maybe)), "iam:CreateUser", "*")


def test_the_page_on_security_says_what_each_role_can_reach() -> None:
    page = (ROOT / reach_table.PAGE).read_text(encoding="utf-8")
    assert reach_table.page_with_table(page, account("prod"), "prod") == page, "python -m infra.delivery.reach_table"
