"""Each color's pods get their own probes' secret; only a Job of the operator gets the rights to snapshot and restore."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.evaluation.evaluate import Evaluation
from infra.platform.cluster.colors import RELEASE_RULES
from tests.unit.infra import service_program
from tests.unit.infra.conftest import evaluate, of_type

NAMESPACES = {"blue": "teal-blue", "green": "teal-green"}
# What pulumi-kubernetes lists and watches until a resource is ready: deployment.go, statefulset.go, service.go of provider/pkg/await in
# github.com/pulumi/pulumi-kubernetes at 0012b9d2, job.go not opened. What may not be listed never syncs, and the release waits for ever.
AWAITED = {
    "Deployment": {("apps", "deployments"), ("apps", "replicasets"), ("", "pods"), ("", "persistentvolumeclaims")},
    "StatefulSet": {("apps", "statefulsets"), ("", "pods")},
    "Service": {("", "services"), ("", "endpoints")},
}


@pytest.fixture
def platform() -> Evaluation:
    return evaluate("platform", "prod")


def shown(platform: Evaluation, name: str) -> dict[str, dict[str, Any]]:
    """What a class shows, by file: the secret, and the key of its JSON if it has keys."""
    (found,) = [each for each in platform.resources if each.type.endswith(":SecretProviderClass") and each.name == name]
    files: dict[str, dict[str, Any]] = {}
    for one in json.loads(found.inputs["spec"]["parameters"]["objects"]):
        if "objectAlias" in one:
            files[one["objectAlias"]] = {"arn": one["objectName"], "key": None}
        for part in one.get("jmesPath", []):
            files[part["objectAlias"]] = {"arn": one["objectName"], "key": part["path"].strip('"')}
    return files


def statements(platform: Evaluation, role: str) -> list[dict[str, Any]]:
    (policy,) = [each for each in of_type(platform, "aws:iam/rolePolicy:RolePolicy") if each.name == role]
    found: list[dict[str, Any]] = json.loads(policy.inputs["policy"])["Statement"]
    return found


def readable(platform: Evaluation, role: str, namespace: str) -> set[str]:
    """Secrets that a pod of this namespace reads with this role."""
    arns: set[str] = set()
    for one in statements(platform, role):
        tag = one.get("Condition", {}).get("StringEquals", {}).get("aws:PrincipalTag/kubernetes-namespace", namespace)
        if "secretsmanager:GetSecretValue" in one["Action"] and tag == namespace:
            arns |= {one["Resource"]} if isinstance(one["Resource"], str) else set(one["Resource"])
    return arns


@pytest.mark.parametrize(("color", "other"), [("blue", "green"), ("green", "blue")])
def test_a_color_s_pods_get_the_word_that_the_load_balancer_knows_that_color_by(
    platform: Evaluation, color: service_program.Color, other: str
) -> None:
    probes = platform.outputs["probe_secret_arns"]
    assert shown(platform, NAMESPACES[color])["TEAL_PROBE_SECRET"] == {"arn": probes[color], "key": None}
    assert probes[color] in readable(platform, "colors", NAMESPACES[color])
    assert probes[other] not in readable(platform, "colors", NAMESPACES[color])
    made = service_program.evaluate("prod", platform.outputs, color)
    for kind in ("Deployment", "StatefulSet"):
        (pod,) = [each.inputs["spec"]["template"]["spec"] for each in made.resources if each.type.endswith(f":{kind}")]
        (entry,) = [each for each in pod["containers"][0]["env"] if each["name"] == "TEAL_PROBE_SECRET"]
        assert entry["valueFrom"] == {"secretKeyRef": {"name": "teal", "key": "TEAL_PROBE_SECRET"}}


def test_the_service_asks_for_the_word_in_the_header_that_the_load_balancer_looks_at(platform: Evaluation) -> None:
    from app.settings import Settings

    assert "probe_secret" in Settings.model_fields
    assert platform.outputs["probe_header"].lower() == "x-teal-probe"  # app/http/middleware.py


def test_only_the_operator_s_jobs_get_the_user_who_may_snapshot_and_restore(platform: Evaluation) -> None:
    for namespace in NAMESPACES.values():
        service, operator = shown(platform, namespace), shown(platform, "teal-operator")
        (arn,) = {operator[f"TEAL_ELASTICSEARCH_{part}"]["arn"] for part in ("USERNAME", "PASSWORD")}
        assert arn not in {one["arn"] for one in service.values()}
        assert arn not in readable(platform, "colors", namespace)
        assert arn in readable(platform, "colors-operator", "teal-operator")
        assert set(service) - set(operator) == {"TEAL_PROBE_SECRET"}


def test_what_a_class_shows_its_role_may_read(platform: Evaluation) -> None:
    for namespace, role in (*((name, "colors") for name in NAMESPACES.values()), ("teal-operator", "colors-operator")):
        asked = {one["arn"] for one in shown(platform, namespace).values()}
        assert asked <= readable(platform, role, namespace)


def test_the_operator_s_identity_is_in_no_namespace_that_a_color_runs_in(platform: Evaluation) -> None:
    places = {
        one.inputs["metadata"]["namespace"]
        for one in platform.resources
        if one.type.endswith((":ServiceAccount", ":SecretProviderClass")) and one.inputs["metadata"]["name"] == "teal-operator"
    }
    assert places == {"teal-operator"}
    given = [
        (one.inputs["namespace"], one.inputs["serviceAccount"])
        for one in of_type(platform, "aws:eks/podIdentityAssociation:PodIdentityAssociation")
        if one.inputs["serviceAccount"] == "teal-operator"
    ]
    assert given == [("teal-operator", "teal-operator")]


def test_a_release_s_rights_never_stand_without_the_rules_and_the_closed_network(platform: Evaluation) -> None:
    rules = {one.urn for one in platform.resources if one.type.endswith(":ValidatingAdmissionPolicyBinding")}
    for namespace in (*NAMESPACES.values(), "teal-operator"):
        policies = {
            one.urn
            for one in platform.resources
            if one.type.endswith(":NetworkPolicy") and one.inputs["metadata"]["namespace"] == namespace
        }
        (role,) = [
            one
            for one in platform.resources
            if one.type.endswith("/v1:Role") and one.inputs["metadata"] == {"name": "release", "namespace": namespace}
        ]
        assert policies
        assert policies <= set(role.depends_on)
        assert {one for one in rules if "teal-workloads" in one or "teal-services" in one} <= set(role.depends_on)


@pytest.mark.parametrize("kind", sorted(AWAITED))
def test_a_release_may_watch_all_that_pulumi_waits_for(kind: str) -> None:
    watched = {
        (group, resource)
        for rule in RELEASE_RULES
        if {"get", "list", "watch"} <= set(rule["verbs"])
        for group in rule["api_groups"]
        for resource in rule["resources"]
    }
    assert AWAITED[kind] <= watched


def test_what_pulumi_waits_for_is_known_of_each_kind_that_it_waits_for(platform: Evaluation) -> None:
    made = service_program.evaluate("prod", platform.outputs, "blue")
    kinds = {one.type.rsplit(":", 1)[1] for one in made.resources if one.type.startswith("kubernetes:")}
    assert kinds & {"Deployment", "StatefulSet", "Service", "Job", "Pod", "Ingress", "PersistentVolumeClaim"} == set(AWAITED)
