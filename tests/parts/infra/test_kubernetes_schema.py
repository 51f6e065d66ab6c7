"""Every Kubernetes object of both programs is one that its API server would take, field by field.

Core kinds: the OpenAPI of the cluster's own version, strict (unknown fields are errors), from `kubernetes-validate`. Custom kinds: their
owners' definitions (`tests.parts.infra.definitions`). Pods inside custom resources, which definitions leave open: as pod templates of the core.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from infra.config.read import load_config
from infra.evaluation.evaluate import RegisteredResource, stack_values
from tests.parts.infra import definitions
from tests.unit.infra.conftest import STACKS, Program, Stack, evaluate

PROGRAMS: tuple[Program, ...] = ("platform", "service")
# Not objects of the cluster: the provider itself, and Helm's releases, whose charts are in docs/proof.md as never rendered.
APART = ("pulumi:providers:kubernetes", "kubernetes:helm.sh/v3:Release")
CORE_GROUPS = (
    "admissionregistration.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
)


@pytest.fixture(autouse=True, scope="module")
def schemas_are_read_once() -> Iterator[None]:
    """kubernetes-validate reads 1 MB of definitions for each object: 30 ms instead of 1."""
    utils = kubernetes_validate.utils
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", functools.cache(utils.schema_contents))
        yield


def objects(program: Program, stack: Stack) -> Iterator[RegisteredResource]:
    for one in evaluate(program, stack).resources:
        if one.type.startswith("kubernetes:") and one.type not in APART:
            yield one


def is_core(api_version: str) -> bool:
    return "/" not in api_version or api_version.split("/")[0] in CORE_GROUPS


def version(stack: Stack) -> str:
    return load_config(stack_values(stack), stack, f"Pulumi.{stack}.yaml").cluster.version


def faults(document: dict[str, Any], kubernetes: str) -> list[str]:
    """What the API server would say against the object; nothing if it would take it."""
    api_version, kind = document["apiVersion"], document["kind"]
    if is_core(api_version):
        try:
            used = kubernetes_validate.validate(document, kubernetes, strict=True)
        except kubernetes_validate.ValidationError as error:
            return [f"{'.'.join(str(part) for part in error.path)}: {error.message}"]
        assert used == kubernetes, f"kubernetes-validate has no schema for {kubernetes}"
        return []
    schema = definitions.schema(api_version, kind)
    if schema is None:
        return [f"no definition of {api_version} {kind} is known to tests/parts/infra/definitions.py"]
    found = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return [f"{'.'.join(str(part) for part in error.path)}: {error.message}" for error in found]


def templates(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Pod templates that a custom resource holds, as objects of the core."""
    spec = document.get("spec", {})
    for holder in (spec, *spec.get("nodeSets", [])):
        if "podTemplate" in holder:
            yield {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "inside"}, "template": holder["podTemplate"]}


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_object_is_one_that_its_api_takes(program: Program, stack: Stack) -> None:
    said = {
        f"{one.type} {one.name}": wrong
        for one in objects(program, stack)
        for document in (dict(one.inputs), *templates(dict(one.inputs)))
        if (wrong := faults(document, version(stack)))
    }
    assert said == {}


def next_version(kubernetes: str) -> str:
    """The version that an upgrade goes to: EKS upgrades one minor at a time."""
    major, minor = kubernetes.split(".")
    return f"{major}.{int(minor) + 1}"


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_object_is_one_that_the_next_version_of_kubernetes_takes(program: Program, stack: Stack) -> None:
    """runbooks/kubernetes-upgrade.md upgrades the cluster under these objects: none may use an API that goes with this version."""
    said = {
        f"{one.type} {one.name}": wrong
        for one in objects(program, stack)
        for document in (dict(one.inputs), *templates(dict(one.inputs)))
        if (wrong := faults(document, next_version(version(stack))))
    }
    assert said == {}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_check_sees_objects_of_the_core_and_custom_ones(program: Program) -> None:
    kinds = {(one.inputs["apiVersion"], one.inputs["kind"]) for one in objects(program, "prod")}
    assert {kind for kind in kinds if is_core(kind[0])}
    assert {kind for kind in kinds if not is_core(kind[0])}


def test_every_definition_is_used_by_a_program() -> None:
    kinds = {(one.inputs["apiVersion"], one.inputs["kind"]) for program in PROGRAMS for one in objects(program, "prod")}
    assert {*definitions.SOURCES, *definitions.HAND_MADE} <= kinds


@pytest.mark.parametrize(
    ("kind", "change", "complaint"),
    [
        ("Elasticsearch", {"volumeClaimDeletePolicy": "Never"}, "is not one of"),
        ("Elasticsearch", {"nodeCount": 3}, "nodeCount"),
        ("NodePool", {"limits": {"cpu": []}}, "limits.cpu"),
        ("CronJob", {"concurrency": "Forbid"}, "concurrency"),
    ],
)
def test_a_wrong_field_is_found(kind: str, change: dict[str, Any], complaint: str) -> None:
    one = next(each for each in objects("platform", "prod") if each.inputs["kind"] == kind)
    document = {**one.inputs, "spec": {**one.inputs["spec"], **change}}
    assert any(complaint in each for each in faults(document, version("prod")))


def test_a_wrong_field_of_a_pod_inside_a_custom_resource_is_found() -> None:
    one = next(each for each in objects("platform", "prod") if each.inputs["kind"] == "Elasticsearch")
    (template,) = templates(dict(one.inputs))
    template["template"]["spec"]["containers"][0]["volumeMount"] = []
    assert any("volumeMount" in each for each in faults(template, version("prod")))


@pytest.mark.parametrize("stack", STACKS)
def test_the_storage_class_has_only_parameters_of_auto_modes_driver(stack: Stack) -> None:
    # Source: EKS user guide, "Create a storage class" (Auto Mode), its table of parameters.
    known = {"type", "encrypted", "kmsKeyId", "iops", "throughput", "csi.storage.k8s.io/fstype", "allowAutoIOPSPerGBIncrease"}
    classes = [one for one in objects("platform", stack) if one.inputs["kind"] == "StorageClass"]
    assert classes
    for one in classes:
        assert one.inputs["provisioner"] == "ebs.csi.eks.amazonaws.com"
        assert {name for name in one.inputs["parameters"] if not name.startswith("tagSpecification_")} <= known
