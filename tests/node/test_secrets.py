"""Pods get their secrets from Secrets Manager: kubelet, the secrets driver under its own chart and the platform's rights, Pod Identity's tokens. moto holds the
values. Stand-ins: AWS' provider (tools/secrets-store/provider), the agent of Pod Identity and IAM's judgement (pod_identity.py)."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from contract.names import OPERATOR_NAMESPACE
from contract.pods import OPERATOR, PROBE_VARIABLE, SECRETS_FOLDER, secrets_volume
from teal.aws.jobs import run_admin_job
from teal.aws.kubernetes import KubernetesClient
from teal.aws.pod_reasons import pod_reasons
from teal.errors import AdminFailed
from tests.node import color, pods
from tests.node.conftest import FIRST, REPLICAS, Service
from tests.node.node import PAUSE, Node, await_true
from tests.node.pod_identity import Who

pytestmark = pytest.mark.integration

STRANGER: Final = "secrets-stranger"  # a namespace of somebody else
COPY: Final = "teal"
EVENT_SECONDS: Final = 60.0  # kubelet says it after its first try
ROTATED_SECONDS: Final = 180.0  # kubelet asks the driver again about once in 75 s, and the driver asks no sooner than in 10
COLLECTED_SECONDS: Final = 90.0
FASTER: Final = 20.0  # of the four minutes that a Job waits for a mount


def copied(node: Node, namespace: str, name: str) -> dict[str, str] | None:
    """The Kubernetes Secret's values, by key."""
    found = node.server.read({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}})
    return found and {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def asked_for(service: Service) -> dict[str, str]:
    """What Secrets Manager has for each file of the color's class."""
    (one,) = (
        each
        for each in color.platform_objects()
        if each["kind"] == "SecretProviderClass" and each["metadata"]["namespace"] == color.NAMESPACE
    )
    found: dict[str, str] = {}
    for secret in json.loads(service.supply.secrets.addressed(one)["spec"]["parameters"]["objects"]):
        text = service.supply.secrets.text(secret["objectName"])
        if "objectAlias" in secret:
            found[secret["objectAlias"]] = text
        for field in secret.get("jmesPath", ()):
            found[field["objectAlias"]] = json.loads(text)[json.loads(field["path"])]
    return found


def file(service: Service, name: str) -> str:
    return pods.execute(service.node, service.pods()[0], "cat", f"{SECRETS_FOLDER}/{name}")


def test_a_pod_gets_what_secrets_manager_has_as_files_and_as_the_copy_that_its_variables_come_from(service: Service) -> None:
    wanted = asked_for(service)
    assert {PROBE_VARIABLE, "PGPASSWORD", "REDIS_URL", "search-ca.crt"} <= set(wanted)
    assert copied(service.node, color.NAMESPACE, COPY) == wanted
    assert {name: file(service, name) for name in wanted} == wanted


def test_an_operator_s_job_gets_its_own_secret_which_goes_with_it(service: Service) -> None:
    """Jobs are the namespace's only pods."""
    entry = color.state(color.record(service.stores, service.digest, FIRST, REPLICAS))
    try:
        run_admin_job(service.cluster, color.COLOR, entry, color.job_settings(), ("snapshots",))
    except AdminFailed as failed:  # in its own words: there may be no repository for snapshots here
        if failed.code == "job-stuck":
            raise
    began = time.monotonic()
    gone = lambda: copied(service.node, OPERATOR_NAMESPACE, OPERATOR.secret) is None  # noqa: E731
    await_true(gone, f"the end of Secret {OPERATOR_NAMESPACE}/{OPERATOR.secret}", COLLECTED_SECONDS)
    print(f"gone after {time.monotonic() - began:.0f} s")


@contextmanager
def stranger(service: Service, name: str, account: str = "default") -> Iterator[dict[str, Any]]:
    """A pod in another namespace that asks for all that the color's pods ask for."""
    server = service.node.server
    (theirs,) = (
        each
        for each in color.platform_objects()
        if each["kind"] == "SecretProviderClass" and each["metadata"]["namespace"] == color.NAMESPACE
    )
    provider_class = {**service.supply.secrets.addressed(theirs), "metadata": {"name": name, "namespace": STRANGER}}
    pod = pods.manifest(STRANGER, name, {}, PAUSE)
    pod["spec"]["volumes"] = [secrets_volume(name)]
    pod["spec"]["serviceAccountName"] = account
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "secrets", "mountPath": SECRETS_FOLDER, "readOnly": True}]
    made = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STRANGER}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": STRANGER}},
        provider_class,
        pod,
    ]
    for document in made:
        server.apply(document, "tests")
    try:
        yield pod
    finally:
        server.ask("DELETE", server.path(pod))


def refusal(service: Service, pod: dict[str, Any]) -> str:
    """What Kubernetes says of a pod that does not start."""

    def reasons() -> list[str]:
        return pod_reasons(
            KubernetesClient(service.node.server.client, "as administrator"), STRANGER, [service.node.server.read(pod) or {}]
        )

    await_true(reasons, f"a reason of {pod['metadata']['name']}", EVENT_SECONDS)
    return reasons()[0]


def test_a_pod_without_a_role_gets_nothing(service: Service) -> None:
    with stranger(service, "without-a-role") as pod:
        assert "no association" in refusal(service, pod)
        assert copied(service.node, STRANGER, COPY) is None


def test_the_service_s_own_role_in_another_namespace_gets_nothing_because_the_probe_is_another_color_s(service: Service) -> None:
    policies = service.supply.manager.policies
    policies[Who(STRANGER, "other-color")] = policies[Who(color.NAMESPACE, "teal")]
    with stranger(service, "other-color", "other-color") as pod:
        said = refusal(service, pod)
    assert "AccessDeniedException" in said
    assert "probe/blue" in said
    assert copied(service.node, STRANGER, COPY) is None


@pytest.mark.weekly
@pytest.mark.parametrize("how", ["missing", "refused"])
def test_a_job_whose_secret_is_missing_or_refused_ends_with_its_name(service: Service, how: str) -> None:
    """At a twentieth of the patience that `teal` has."""
    supply, entry = service.supply, color.state(color.record(service.stores, service.digest, FIRST, REPLICAS))
    (arn,) = (given for ours, given in supply.secrets.arns.items() if "cache" in ours)
    policies, who = supply.manager.policies, Who(OPERATOR_NAMESPACE, OPERATOR.account)
    text, kept = supply.secrets.text(arn), policies[who]
    client = supply.secrets.aws.client("secretsmanager")
    if how == "refused":
        policies[who] = [
            {**one, "Resource": [each for each in one["Resource"] if each != arn]} for one in kept if one["Sid"] == "ReadSecrets"
        ]
    else:
        client.delete_secret(SecretId=arn, RecoveryWindowInDays=7)
    try:
        with pytest.raises(AdminFailed) as failed:
            run_admin_job(
                service.cluster,
                color.COLOR,
                entry,
                color.job_settings(),
                ("snapshots",),
                lambda seconds: time.sleep(seconds / FASTER),
            )
    finally:
        policies[who] = kept
        if how == "missing":
            client.restore_secret(SecretId=arn)
            assert supply.secrets.text(arn) == text
    print(failed.value)
    assert failed.value.code == "job-stuck"
    assert arn in str(failed.value)
    assert ("AccessDeniedException" if how == "refused" else "InvalidRequestException") in str(failed.value)


@pytest.mark.weekly
def test_a_rotated_secret_reaches_files_and_the_copy_of_a_running_pod(service: Service) -> None:
    (arn,) = (given for ours, given in service.supply.secrets.arns.items() if f"probe/{color.COLOR}" in ours)
    before, began = service.supply.secrets.text(arn), time.monotonic()
    service.supply.secrets.put(arn, "rotated")
    try:
        await_true(lambda: file(service, PROBE_VARIABLE) == "rotated", "the mounted file", ROTATED_SECONDS)
        mounted = time.monotonic() - began
        await_true(
            lambda: (copied(service.node, color.NAMESPACE, COPY) or {})[PROBE_VARIABLE] == "rotated", "the copy", ROTATED_SECONDS
        )
        print(f"in the file after {mounted:.0f} s, in the copy after {time.monotonic() - began:.0f} s")
        assert service.pods(), "the pods went on"
    finally:
        service.supply.secrets.put(arn, before)
