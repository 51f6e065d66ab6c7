"""What the release role can make run, tried on a real API server: its own Jobs, and none that reaches the operator's secrets or the network.

RBAC says which kinds it may change; what is in them is said by the platform's admission policies, which it may not change.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from contract import pods
from contract.names import NAMESPACES, OPERATOR_NAMESPACE
from teal.aws import jobs
from teal.aws.jobs import JobSettings
from teal.record.model import ColorState
from tests.cluster.apiserver import ApiServer, Refused
from tests.cluster.conftest import RELEASE, STACK
from tests.cluster.objects import objects

Pod = dict[str, Any]
BLUE: Final = NAMESPACES["blue"]


def image() -> str:
    """The one that the color's program runs."""
    (deployment,) = [one for one in objects("service", STACK) if one["kind"] == "Deployment"]
    found: str = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


def manifest(*arguments: str) -> dict[str, Any]:
    """The Job that `teal` makes of an admin command, whole."""
    state = ColorState(release_id="r-1", image=image(), config={"TEAL_SEARCH": "elasticsearch"}, index="teal",
                       schema_min="0001", schema_max="0001", replica_floor=0)  # fmt: skip
    settings = JobSettings(BLUE, STACK, "eu-central-1", ("DATABASE_PASSWORD", "search-ca.crt"), "500m", 512)
    return jobs.manifest("admin-test", "blue", state, settings, arguments)


def attempt(server: ApiServer, document: dict[str, Any]) -> None:
    server.create(document, RELEASE, dry_run=True)


@pytest.mark.parametrize("command", ["migrate", "index", "keys", *pods.OPERATOR_COMMANDS])
def test_the_jobs_that_teal_makes_are_let_through(server: ApiServer, command: str) -> None:
    attempt(server, manifest(command, "x"))


def test_everything_that_a_release_applies_is_let_through(server: ApiServer) -> None:
    for document in objects("service", STACK):
        server.apply(document, "administrator", RELEASE, dry_run=True)


def container(pod: Pod) -> dict[str, Any]:
    found: dict[str, Any] = pod["containers"][0]
    return found


def first(pod: Pod) -> dict[str, Any]:
    """A container that runs before the others: it has no probes."""
    kept = {key: value for key, value in container(pod).items() if not key.endswith("Probe") and key != "lifecycle"}
    return {**kept, "name": "first", "image": OTHER_IMAGE}


def class_of(pod: Pod, name: str) -> None:
    for volume in pod["volumes"]:
        if "csi" in volume:
            volume["csi"]["volumeAttributes"]["secretProviderClass"] = name


def add_volume(pod: Pod, **volume: Any) -> None:
    pod["volumes"].append({"name": "attack", **volume})


def variable(pod: Pod, **source: Any) -> None:
    container(pod)["env"].append({"name": "ATTACK", "valueFrom": source})


OTHER_IMAGE: Final = "attacker.example/tools@sha256:" + "cd" * 32
TOKEN: Final = {"serviceAccountToken": {"path": "token"}}
ATTACKS: Final[dict[str, Callable[[Pod], object]]] = {
    "another image": lambda pod: container(pod).update(image=OTHER_IMAGE),
    "an image by tag": lambda pod: container(pod).update(image=image().partition("@")[0] + ":latest"),
    "an image whose name begins like ours": lambda pod: container(pod).update(image=image().replace("@", "-evil@")),
    "another image before it": lambda pod: pod.update(initContainers=[first(pod)]),
    "no account": lambda pod: pod.pop("serviceAccountName"),
    "another account": lambda pod: pod.update(serviceAccountName="default"),
    "a token": lambda pod: pod.update(automountServiceAccountToken=True),
    "a token by a volume": lambda pod: add_volume(pod, projected={"sources": [TOKEN]}),
    "another secret by a variable": lambda pod: variable(pod, secretKeyRef={"name": "other", "key": "ADMIN"}),
    "a secret's every key": lambda pod: container(pod).update(envFrom=[{"secretRef": {"name": "other"}}]),
    "another secret by a volume": lambda pod: add_volume(pod, secret={"secretName": "other"}),
    "another class of files": lambda pod: class_of(pod, "other"),
    "the node's files": lambda pod: add_volume(pod, hostPath={"path": "/"}),
    "a claim on a disk": lambda pod: add_volume(pod, persistentVolumeClaim={"claimName": "data"}),
    "a secret for the registry": lambda pod: pod.update(imagePullSecrets=[{"name": "other"}]),
}  # fmt: skip
THE_OPERATORS: Final[dict[str, Callable[[Pod], object]]] = {
    "the operator's account": lambda pod: pod.update(serviceAccountName=pods.OPERATOR.account),
    "the operator's secret": lambda pod: variable(pod, secretKeyRef={"name": pods.OPERATOR.secret, "key": "ELASTICSEARCH_PASSWORD"}),
    "the operator's files": lambda pod: class_of(pod, pods.OPERATOR.provider_class),
    "the other color's files": lambda pod: class_of(pod, NAMESPACES["green"]),
}  # fmt: skip
OTHER_COMMANDS: Final[dict[str, Callable[[Pod], object]]] = {
    "a shell": lambda pod: container(pod).update(command=["sh", "-c", "env"]),
    "another program": lambda pod: container(pod).update(args=["python3", "-c", "import os; print(os.environ)"]),
    "another admin command": lambda pod: container(pod).update(args=["python3", "-m", "app.admin", "keys", "create"]),
}  # fmt: skip


def cases() -> Iterator[Any]:
    for name, attack in {**ATTACKS, **THE_OPERATORS}.items():
        yield pytest.param(("migrate", "--expand"), attack, id=f"color: {name}")
    for name, attack in {**ATTACKS, **OTHER_COMMANDS}.items():
        yield pytest.param(("snapshot", "x"), attack, id=f"operator: {name}")


@pytest.mark.parametrize("kind", ["Job", "CronJob"])
@pytest.mark.parametrize(("arguments", "attack"), cases())
def test_a_job_that_reaches_further_is_refused(
    server: ApiServer, kind: str, arguments: tuple[str, ...], attack: Callable[[Pod], object]
) -> None:
    document = copy.deepcopy(manifest(*arguments))
    attack(document["spec"]["template"]["spec"])
    if kind == "CronJob":
        spec = {"schedule": "0 0 * * *", "jobTemplate": {"spec": document["spec"]}}
        document = {"apiVersion": "batch/v1", "kind": kind, "metadata": document["metadata"], "spec": spec}
    with pytest.raises(Refused) as raised:
        attempt(server, document)
    assert raised.value.code == 422, raised.value
    assert "ValidatingAdmissionPolicy" in str(raised.value)


# Not "no account": what server-side apply leaves out, the object keeps.
KEPT: Final = {name: attack for name, attack in {**ATTACKS, **THE_OPERATORS}.items() if name != "no account"}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
@pytest.mark.parametrize("attack", [pytest.param(attack, id=name) for name, attack in KEPT.items()])
def test_what_runs_cannot_be_turned_into_something_else(server: ApiServer, kind: str, attack: Callable[[Pod], object]) -> None:
    (held,) = [one for one in objects("service", STACK) if one["kind"] == kind]
    document = copy.deepcopy(held)
    attack(document["spec"]["template"]["spec"])
    with pytest.raises(Refused) as raised:
        server.apply(document, "administrator", RELEASE, dry_run=True)
    assert raised.value.code == 422, raised.value
    assert "ValidatingAdmissionPolicy" in str(raised.value)


@pytest.mark.parametrize("namespace", [*NAMESPACES.values(), OPERATOR_NAMESPACE])
def test_the_network_cannot_be_opened(server: ApiServer, namespace: str) -> None:
    opened = {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "attack", "namespace": namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
    }  # fmt: skip
    with pytest.raises(Refused) as raised:
        server.create(opened, RELEASE)
    assert raised.value.code == 403
    held = [
        one for one in objects("platform", STACK) if one["kind"] == "NetworkPolicy" and one["metadata"]["namespace"] == namespace
    ]
    assert held
    for one in held:
        for method, body in (("PATCH", {"spec": {"egress": [{}]}}), ("DELETE", None)):
            with pytest.raises(Refused) as raised:
                server.ask(method, server.path(one), body, RELEASE, headers={"Content-Type": "application/merge-patch+json"})
            assert raised.value.code == 403


@pytest.mark.parametrize("change", [{"type": "LoadBalancer"}, {"type": "NodePort"}, {"externalIPs": ["203.0.113.1"]}])
def test_no_service_opens_the_cluster(server: ApiServer, change: dict[str, Any]) -> None:
    (held,) = [one for one in objects("service", STACK) if one["kind"] == "Service"]
    document = {**held, "metadata": {"name": "attack", "namespace": BLUE}, "spec": {**held["spec"], **change}}
    with pytest.raises(Refused) as raised:
        server.create(document, RELEASE, dry_run=True)
    assert raised.value.code == 422


def test_the_rules_cannot_be_changed_by_a_release(server: ApiServer) -> None:
    rules = [one for one in objects("platform", STACK) if one["kind"].startswith("ValidatingAdmissionPolicy")]
    assert len(rules) >= 6
    for one in rules:
        for method, body in (("PATCH", {"metadata": {"labels": {"attack": "yes"}}}), ("DELETE", None)):
            with pytest.raises(Refused) as raised:
                server.ask(method, server.path(one), body, RELEASE, headers={"Content-Type": "application/merge-patch+json"})
            assert raised.value.code == 403
