"""Secrets reach pods by reference: manifests hold ARNs and keys, never values."""

from __future__ import annotations

import json

import pulumi
import pytest

from contract.pods import secrets_volume
from infra.evaluation.evaluate import RegisteredResource
from infra.platform.cluster.secrets import ADDON, Reference, objects, provider_class
from tests.unit.infra.conftest import STACKS, Stack, evaluate, of_type
from tests.unit.infra.mocks import run

ARN = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:x"


def driver(stack: Stack) -> list[RegisteredResource]:
    return [one for one in of_type(evaluate("platform", stack), "aws:eks/addon:Addon") if one.inputs["addonName"] == ADDON]


def test_keys_of_one_secret_are_read_with_one_request() -> None:
    made = json.loads(objects({"PGUSER": (ARN, "username"), "PGPASSWORD": (ARN, "password"), "TOKEN": (ARN + "2", "auth-token")}))
    assert [one["objectName"] for one in made] == [ARN, ARN + "2"]
    assert made[0]["jmesPath"] == [
        {"path": '"password"', "objectAlias": "PGPASSWORD"},
        {"path": '"username"', "objectAlias": "PGUSER"},
    ]
    assert made[1]["jmesPath"] == [{"path": '"auth-token"', "objectAlias": "TOKEN"}]


def test_a_secret_without_keys_is_one_file() -> None:
    (made,) = json.loads(objects({"WORD": (ARN, None)}))
    assert made == {"objectName": ARN, "objectType": "secretsmanager", "objectAlias": "WORD"}


def test_a_copy_is_made_only_when_asked_for() -> None:
    references = {"A": Reference(ARN, "k")}
    opts = pulumi.ResourceOptions()
    (plain,) = run(lambda: provider_class("p", "n", "eu-central-1", references, opts))
    (copied,) = run(lambda: provider_class("p", "n", "eu-central-1", references, opts, copy_to="s"))
    assert "secretObjects" not in plain.inputs["spec"]
    assert copied.inputs["spec"]["secretObjects"] == [
        {"secretName": "s", "type": "Opaque", "data": [{"objectName": "A", "key": "A"}]}
    ]
    assert secrets_volume("p")["csi"]["volumeAttributes"] == {"secretProviderClass": "p"}


def test_the_driver_takes_the_pods_identity_and_may_copy() -> None:
    (addon,) = driver("prod")
    settings = json.loads(addon.inputs["configurationValues"])["secrets-store-csi-driver"]
    assert settings["syncSecret"] == {"enabled": True}
    assert {one["audience"] for one in settings["tokenRequests"]} == {"sts.amazonaws.com", "pods.eks.amazonaws.com"}


def test_the_right_to_copy_is_there_before_the_driver_which_makes_no_role_of_its_own() -> None:
    platform = evaluate("platform", "prod")
    (addon,) = driver("prod")
    kinds = ("ClusterRole", "ClusterRoleBinding")
    role, binding = (
        one
        for kind in kinds
        for one in of_type(platform, f"kubernetes:rbac.authorization.k8s.io/v1:{kind}")
        if one.name == "secrets"
    )
    assert role.inputs["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]}
    ]
    assert binding.inputs["roleRef"]["name"] == role.inputs["metadata"]["name"]
    (subject,) = binding.inputs["subjects"]
    # Whose namespace it is, EKS is told: the group is right whatever the default.
    assert subject["name"] == f"system:serviceaccounts:{addon.inputs['namespaceConfig']['namespace']}"
    assert binding.urn in addon.depends_on


@pytest.mark.parametrize("stack", STACKS)
def test_a_secret_that_pulumi_makes_leaves_its_name_free_for_the_next_up(stack: Stack) -> None:
    secrets = of_type(evaluate("platform", stack), "aws:secretsmanager/secret:Secret")
    assert {one.name: one.inputs.get("recoveryWindowInDays") for one in secrets} == {one.name: 0 for one in secrets}
    # Each of them has a value from here; the database's own is made by RDS and is no resource of this program.
    assert {one.name for one in secrets} == {
        one.name for one in of_type(evaluate("platform", stack), "aws:secretsmanager/secretVersion:SecretVersion")
    }
    assert secrets
