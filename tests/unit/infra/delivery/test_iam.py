"""Rights: they are there before whoever needs them, and the wide ones have a reason each."""

from __future__ import annotations

import re

import pytest

from infra.delivery.policies import StateLocation, up_statements
from infra.evaluation.evaluate import Evaluation, RegisteredResource
from infra.platform.boundary import UNBOUNDED
from tests.unit.infra.conftest import Stack, evaluate, of_type


def named(platform: Evaluation, kind: str, name: str) -> RegisteredResource:
    (found,) = [one for one in of_type(platform, kind) if one.name == name]
    return found


def test_a_pod_gets_its_role_when_the_role_has_its_rights(platform: Evaluation) -> None:
    given = of_type(platform, "aws:eks/podIdentityAssociation:PodIdentityAssociation")
    policies = {one.inputs["role"]: one.urn for one in of_type(platform, "aws:iam/rolePolicy:RolePolicy")}
    names = {one.inputs["name"] for one in of_type(platform, "aws:iam/role:Role")}
    assert given
    for one in given:
        role = one.inputs["roleArn"].rsplit("/", 1)[-1]
        assert role in names
        rights = [urn for held, urn in policies.items() if str(held).startswith(role)]
        assert rights, role
        assert set(rights) & set(one.depends_on), one.name


@pytest.mark.parametrize("stack", ["prod"])
def test_the_database_is_watched_by_a_role_that_has_its_rights(stack: Stack) -> None:
    platform = evaluate("platform", stack)
    rights = named(platform, "aws:iam/rolePolicyAttachment:RolePolicyAttachment", "database-monitoring")
    assert rights.urn in named(platform, "aws:rds/instance:Instance", "database").depends_on


def test_every_role_has_the_boundary_or_a_reason(platform: Evaluation) -> None:
    roles = {one.name: one.inputs.get("permissionsBoundary") for one in of_type(platform, "aws:iam/role:Role")}
    (boundary,) = of_type(platform, "aws:iam/policy:Policy")
    assert {name for name, bound in roles.items() if bound is None} == set(UNBOUNDED)
    (bound,) = set(roles.values()) - {None}
    assert bound == f"arn:aws:iam::123456789012:policy/{boundary.inputs['name']}"
    assert boundary.protect
    for one in of_type(platform, "aws:iam/role:Role"):
        assert (boundary.urn in one.depends_on) is (one.name not in UNBOUNDED)


# The platform's role has whole services, at these ARNs. Why the ARN ends as it does where it does not begin as the program's names do.
WIDE = {
    "arn:aws:elasticache:eu-central-1:123456789012:parametergroup:default*": "AWS's own groups, which nobody can change",
    "arn:aws:backup:eu-central-1:123456789012:backup-plan:*": "a plan's ARN is an id that AWS gives",
    "arn:aws:backup:eu-central-1:123456789012:restore-testing-plan:teal_prod*": "its name may hold no dash",
    "arn:aws:aps:eu-central-1:123456789012:*": "workspaces, rules and scrapers have ids",
    "arn:aws:acm:eu-central-1:123456789012:certificate/*": "a certificate's ARN is an id",
    "arn:aws:wafv2:eu-central-1:123456789012:regional/*": "web ACLs have a name, rule groups of AWS do not begin with ours",
    "arn:aws:logs:eu-central-1:123456789012:log-group:*teal-prod*": "groups of AWS begin with the service: /aws/eks/teal-prod/...",
}


def test_every_whole_service_is_held_to_the_program_s_names_or_has_a_reason() -> None:
    where = StateLocation("prod", "teal-prod", "eu-central-1", "123456789012", "bucket", "alias/a", "alias/b")
    wide: set[str] = set()
    for statement in up_statements(where, ["arn:aws:kms:eu-central-1:123456789012:key/1"], "Z1"):
        if statement["Effect"] == "Allow" and any(action.endswith(":*") for action in statement["Action"]):
            for arn in [statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"]:
                name = arn.split(":", 5)[5]
                if "*" in arn and not re.match(r"(\w+[-/:])*(\*[:/])?(app/)?teal-prod", name):
                    wide.add(arn)
    assert wide == set(WIDE)
    assert "*" not in wide
