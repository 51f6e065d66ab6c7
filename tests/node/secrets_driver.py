"""The secrets store driver on a node, of the version that EKS' add-on brings, under the objects of its own chart with the platform's settings.

It runs beside kubelet, not in a pod, with its own service account's token. A provider of the tests' own takes the place of AWS', which is no Go module to
be had here (tools/secrets-store/provider): it takes the same parameters, signs in by Pod Identity with the token that kubelet made for the pod,
and asks Secrets Manager by AWS' library. So is the program that tells kubelet of the driver (tools/secrets-store/registrar).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from contract.pods import SECRETS_DRIVER
from infra.platform.cluster import secrets
from tests.cluster.apiserver import ApiServer
from tests.cluster.objects import objects
from tests.node import node, pod_identity, secret_values
from tests.node.color import STACK
from tests.node.node import Node, await_true
from tests.node.pod_identity import SecretsManager
from tests.node.secret_values import Secrets
from tests.node.stores import Stores
from tests.services import secrets_chart
from tests.services.aws_server import AwsServer
from tests.services.go_tools import tool

_DRIVER: Final = "secrets-store-csi-driver"
_REGISTRAR: Final = "secrets-store-registrar"
_PROVIDER: Final = "secrets-store-provider"
_FOLDER: Final = "/var/lib/kubelet/plugins/csi-secrets-store"  # as the chart's pod has it, and as kubelet sees it
_SOCKET: Final = f"{_FOLDER}/csi.sock"
_REGISTERED: Final = "/var/lib/kubelet/plugins_registry"
_PROVIDERS: Final = "/run/secrets-store-csi-providers"
_INTERVAL: Final = "--rotation-poll-interval="
_MADE_BY_CHART_ALONE: Final = "secretprovidersyncing-role"  # EKS' add-on makes no role of `syncSecret`: decision 0006
_TOKEN_SECONDS: Final = 24 * 3600


def require_driver() -> None:
    """Build what is missing, before anything is in another network."""
    for name in (_DRIVER, _REGISTRAR, _PROVIDER, "chart"):
        tool(name)
    secrets_chart.folder()


def install(server: ApiServer) -> None:
    """What the add-on makes of the platform's settings, and the right to copy, which the platform makes."""
    server.define(secrets_chart.custom_resources())
    server.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": secrets.NAMESPACE}}, "administrator"
    )  # by `namespaceConfig`
    copy = [one for one in objects("platform", STACK) if one["metadata"]["name"] == secrets.COPY]
    made = [one for one in secrets_chart.objects() if not one["metadata"]["name"].startswith(_MADE_BY_CHART_ALONE)]
    for document in (*(one for one in made if one["kind"] != "DaemonSet"), *copy):
        server.apply(document, "administrator")


@dataclass(frozen=True)
class Supply:
    """Where the pods of a node get their secrets from."""

    secrets: Secrets
    manager: SecretsManager


@contextmanager
def supplying(on: Node, aws: AwsServer, held: Stores, rotation_seconds: int | None = None) -> Iterator[Supply]:
    """The driver on the first node, and the platform's secrets in moto, of this thread's network."""
    made = secret_values.fill(aws, held)
    install(on.server)
    with pod_identity.judging(aws, on.machine.address, made.policies()) as manager, serving(on, manager, rotation_seconds):
        yield Supply(made, manager)


@contextmanager
def serving(on: Node, manager: SecretsManager, rotation_seconds: int | None = None) -> Iterator[None]:
    """Until the block ends, and with the node's other programs. `rotation_seconds`: in the place of the platform's hour."""
    inner = on.machine
    for folder in (_FOLDER, _PROVIDERS):
        (inner.root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    account = node.kubeconfig(
        inner.folder,
        on.server,
        "secrets-kubeconfig",
        on.server.token(secrets.NAMESPACE, _pod()["serviceAccountName"], _TOKEN_SECONDS),
    )
    with ExitStack() as running:
        running.enter_context(pod_identity.agent(on, manager))
        where = f"AWS_ENDPOINT_URL_SECRETS_MANAGER={manager.url}"
        provider = ["env", "-u", "AWS_PROFILE", where, str(tool(_PROVIDER)), f"{_PROVIDERS}/aws.sock"]
        node.process(inner, _PROVIDER, provider, running)
        driver = ["env", f"KUBECONFIG={account}", str(tool(_DRIVER)), *_arguments(on.name, rotation_seconds)]
        node.process(inner, _DRIVER, driver, running)
        node.process(inner, _REGISTRAR, [str(tool(_REGISTRAR)), _SOCKET, _REGISTERED], running)
        try:
            await_true(lambda: _is_known(on), "kubelet's word that it knows the secrets driver")
        except TimeoutError as error:
            raise RuntimeError(f"{error}; {node.logs(inner)}") from error
        yield


def _arguments(name: str, rotation_seconds: int | None) -> list[str]:
    """Those of the chart's container."""
    (container,) = (one for one in _pod()["containers"] if one["name"] == "secrets-store")
    known = {"$(CSI_ENDPOINT)": f"unix://{_SOCKET}", "$(KUBE_NODE_NAME)": name}
    words: list[str] = container["args"]
    for placeholder, value in known.items():
        words = [word.replace(placeholder, value) for word in words]
    if rotation_seconds is None:
        return words
    return [*(word for word in words if not word.startswith(_INTERVAL)), f"{_INTERVAL}{rotation_seconds}s"]


def _pod() -> dict[str, Any]:
    (daemon,) = (one for one in secrets_chart.objects() if one["kind"] == "DaemonSet")
    pod: dict[str, Any] = daemon["spec"]["template"]["spec"]
    return pod


def _is_known(on: Node) -> bool:
    document = {"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": on.name}}
    found = on.server.read(document) or {}
    return any(one["name"] == SECRETS_DRIVER for one in found.get("spec", {}).get("drivers") or ())
