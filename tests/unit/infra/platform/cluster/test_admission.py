"""What may run in the service's namespaces. Whether the API server refuses the attacks is asked of a real one elsewhere."""

from __future__ import annotations

import re

from contract.pods import OPERATOR_COMMANDS
from infra.delivery import preview_access
from infra.evaluation.evaluate import Evaluation
from infra.platform.cluster import admission
from infra.platform.cluster.colors import OPERATOR_RULES, RELEASE_RULES

REPOSITORY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/teal-prod"


def test_the_rules_hold_in_every_namespace_of_the_service_for_everything_that_makes_pods() -> None:
    found = admission.workloads(REPOSITORY)
    (selector,) = found["matchConstraints"]["namespaceSelector"]["matchExpressions"]
    assert selector["values"] == ["teal-blue", "teal-green", "teal-operator"]
    kinds = {name for rule in found["matchConstraints"]["resourceRules"] for name in rule["resources"]}
    assert kinds == {"deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs"}
    assert found["failurePolicy"] == "Fail"
    assert "matchConditions" not in found  # everybody is asked, cluster administrators too


def test_an_image_is_this_stack_s_own_by_digest() -> None:
    (rule,) = [one["expression"] for one in admission.workloads(REPOSITORY)["validations"] if "c.image" in one["expression"]]
    pattern = re.search(r'matches\("(.*)"\)', rule)
    assert pattern is not None
    known = re.compile(pattern[1].replace("\\\\", "\\"))
    assert known.search(f"{REPOSITORY}@sha256:{'a' * 64}")
    for other in (
        f"{REPOSITORY}:latest",
        f"evil.example/{REPOSITORY}@sha256:{'a' * 64}",
        f"{REPOSITORY}x@sha256:{'a' * 64}",
        "busybox",
    ):
        assert not known.search(other)


def test_the_operator_s_namespace_runs_its_commands_alone() -> None:
    (rule,) = [one["expression"] for one in admission.workloads(REPOSITORY)["validations"] if "c.args" in one["expression"]]
    assert all(command in rule for command in OPERATOR_COMMANDS)
    assert "!has(c.command)" in rule


def test_neither_role_may_change_the_rules() -> None:
    for rule in (*RELEASE_RULES, *OPERATOR_RULES):
        assert not {"admissionregistration.k8s.io", "*"} & set(rule["api_groups"])  # type: ignore[arg-type, typeddict-item]
    for one in preview_access.preview_rbac_rules():
        if "admissionregistration.k8s.io" in one["apiGroups"]:
            assert set(one["verbs"]) == {"get", "list", "watch"}


def test_each_rule_is_bound_to_deny(platform: Evaluation) -> None:
    bound = {
        one.inputs["spec"]["policyName"]: one.inputs["spec"]["validationActions"]
        for one in platform.resources
        if one.type.endswith(":ValidatingAdmissionPolicyBinding")
    }
    assert bound[admission.WORKLOADS] == bound[admission.SERVICES] == ["Deny"]
