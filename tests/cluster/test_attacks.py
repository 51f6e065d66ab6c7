"""What was done to a real API server by those who may least: each attack of a pull request and of a releaser, tried again.

The groups are those that the AWS roles' access entries name; the administrator impersonates them. The server holds every object of both
programs, applied as they register them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from infra.delivery.registry import GROUPS
from tests.cluster.apiserver import ApiServer, Refused, Who
from tests.cluster.conftest import PREVIEW, RELEASE, STACK
from tests.cluster.objects import objects

POLICIES: Final = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


def job(namespace: str, **pod: Any) -> dict[str, Any]:
    """A Job that Pod Security's restricted level takes, with `pod` over it."""
    container = {
        "name": "attack", "image": "attacker.example/tools:latest", "command": ["sh", "-c", "env"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True},
    }  # fmt: skip
    security = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"restartPolicy": "Never", "securityContext": security, "containers": [container], **pod}
    metadata = {"name": "attack", "namespace": namespace}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": {"spec": spec}}}


def refused(server: ApiServer, document: Mapping[str, Any], who: Who) -> Refused:
    """It must not be made, and nothing of it may be there."""
    with pytest.raises(Refused) as raised:
        server.create(document, who)
    assert raised.value.code in (403, 422), raised.value
    assert server.read(document) is None
    return raised.value


@pytest.mark.parametrize("kind", POLICIES)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_preview_cannot_change_what_limits_it(server: ApiServer, kind: str, dry_run: bool) -> None:
    """Kubernetes applies no admission policy to policies and bindings, so that whoever may patch them stands above them."""
    (held,) = [one for one in objects("platform", STACK) if one["kind"] == kind and one["metadata"]["name"] == "teal-preview"]
    before = server.read(held)
    assert before is not None
    body = {"spec": {"validations": [{"expression": "true"}]} if kind == POLICIES[0] else {"validationActions": ["Audit"]}}
    with pytest.raises(Refused) as raised:
        server.ask(
            "PATCH", server.path(held), body, PREVIEW, params={"dryRun": "All"} if dry_run else {},
            headers={"Content-Type": "application/merge-patch+json"},
        )  # fmt: skip
    assert raised.value.code == 403
    assert server.read(held) == before
    assert server.read(held, PREVIEW) == before  # it is seen, so that a preview can say what would change


@pytest.mark.parametrize("kind", POLICIES)
def test_a_preview_cannot_add_a_policy(server: ApiServer, kind: str) -> None:
    (held,) = [one for one in objects("platform", STACK) if one["kind"] == kind and one["metadata"]["name"] == "teal-preview"]
    refused(server, {**held, "metadata": {"name": "attack"}}, PREVIEW)


@pytest.mark.parametrize("namespace", ["kube-system", "teal-search", "teal-blue"])
def test_a_preview_cannot_run_anything(server: ApiServer, namespace: str) -> None:
    root = job(namespace, hostPID=True, volumes=[{"name": "node", "hostPath": {"path": "/"}}])
    refused(server, root, PREVIEW)
    refused(server, job(namespace), PREVIEW)


def test_a_preview_cannot_give_itself_rights(server: ApiServer) -> None:
    for kind in ("ClusterRole", "ClusterRoleBinding"):
        document = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": "attack"}}
        if kind == "ClusterRole":
            document["rules"] = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
        else:
            document["roleRef"] = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
            document["subjects"] = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": GROUPS["preview"]}]
        refused(server, document, PREVIEW)


def test_a_preview_reads_no_secret_but_search_s_certificate(server: ApiServer) -> None:
    secrets = [one for one in objects("platform", STACK) if one["kind"] == "Secret"]
    assert secrets
    for secret in secrets:
        with pytest.raises(Refused, match="forbidden"):
            server.read(secret, PREVIEW)
        with pytest.raises(Refused, match="forbidden"):  # the answer to a dry run holds the whole object
            server.apply({key: secret[key] for key in ("apiVersion", "kind", "metadata")}, "attack", PREVIEW, dry_run=True)


def test_a_preview_can_still_try_what_the_program_would_change(server: ApiServer) -> None:
    tried = 0
    for document in objects("platform", STACK):
        if document["kind"] in (*POLICIES, "Secret"):
            continue
        before = server.read(document)
        server.apply(document, "administrator", PREVIEW, dry_run=True)
        assert server.read(document) == before
        tried += 1
    assert tried > 30


@pytest.mark.parametrize("group", ["preview", "release"])
def test_neither_group_may_touch_what_is_not_its_own(server: ApiServer, group: str) -> None:
    who = {"preview": PREVIEW, "release": RELEASE}[group]
    asked = [
        ("", "secrets", "teal-search"), ("", "secrets", "teal-blue"), ("", "pods", "kube-system"), ("", "nodes", ""),
        ("apps", "daemonsets", "kube-system"), ("rbac.authorization.k8s.io", "rolebindings", "teal-blue"),
        ("admissionregistration.k8s.io", "validatingadmissionpolicies", ""), ("", "serviceaccounts", "teal-search"),
    ]  # fmt: skip
    for api_group, resource, namespace in asked:
        for verb in ("update", "delete"):
            review = {
                "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {"name": ""},
                "spec": {"resourceAttributes": {"group": api_group, "resource": resource, "namespace": namespace, "verb": verb}},
            }  # fmt: skip
            answer = server.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review, who)
            assert not answer["status"]["allowed"], (group, verb, resource, namespace)
