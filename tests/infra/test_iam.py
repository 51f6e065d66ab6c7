"""Rights: they are there before whoever needs them, and the wide ones have a reason each."""

from __future__ import annotations

import pytest

from infra.components.boundary import BOUNDARY, UNBOUNDED
from infra.evaluate import Evaluation, Registered
from tests.infra.conftest import Stack, evaluate, of_type


def named(platform: Evaluation, kind: str, name: str) -> Registered:
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
    assert {name for name, bound in roles.items() if bound != BOUNDARY} == set(UNBOUNDED)
    assert set(roles.values()) == {BOUNDARY, None}
