"""A Kubernetes for Pulumi's own provider: a real API server and controller manager, and pods that are ready at once (pods.py).

`aws eks get-token` answers with a token of this server, so that the kubeconfig which the program makes is used as it is.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.cluster import apiserver
from tests.cluster.apiserver import ApiServer
from tests.cluster.conftest import RELEASE
from tests.engine.pods import Pods
from tests.engine.provider import PACKAGES
from tests.engine.tunnel import Tunnel
from tests.services.go_tools import tool

PROVIDER: Final = "pulumi-resource-kubernetes"
REAL: Final = "kubernetes"
STOOD_IN: Final = tuple(package for package in PACKAGES if package != REAL)
RELEASE_TOKEN: Final = "of-a-release"
WHO: Final = "TEAL_TEST_TOKEN"  # the variable that says whose token `aws eks get-token` answers with
_AWS: Final = """#!/bin/sh
printf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{},"status":{"token":"%s"}}' \\
  "${TEAL_TEST_TOKEN:-of-these-tests-alone}"
"""


NAMESPACES_AT_FIRST: Final = 4  # default, kube-system, kube-public, kube-node-lease


@dataclass(frozen=True)
class Kubernetes:
    """`endpoint` and `ca_data` are what EKS says of its cluster."""

    server: ApiServer
    pods: Pods
    endpoint: str
    ca_data: str


@contextmanager
def start(folder: Path, shell: pytest.MonkeyPatch, tunnel: Tunnel | None = None) -> Iterator[Kubernetes]:
    """In `folder`. Pulumi's provider and `aws` are on PATH afterwards. `tunnel` answers for the internet that the provider reads charts from,
    and for the pods that the API server asks: webhooks and other APIs."""
    commands = folder / "commands"
    provider = tool(PROVIDER)
    with ExitStack() as running:
        more = _through(folder, tunnel) if tunnel else ()
        server = running.enter_context(apiserver.start(folder, more=more, users={RELEASE_TOKEN: RELEASE}))
        running.enter_context(apiserver.controller_manager(server, folder))
        pods = running.enter_context(Pods(server).ready())
        _put(commands, "aws", _AWS)
        variables = _outside(folder, tunnel) if tunnel else {}
        words = " ".join(f"{name}='{value}'" for name, value in variables.items())
        _put(commands, PROVIDER, f"#!/bin/sh\n{words} exec '{provider}' \"$@\"\n")
        shell.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
        server.wait(
            lambda: _furnished(server), "what controllers put into each namespace"
        )  # before anybody looks at what is there
        yield Kubernetes(server, pods, server.url, base64.b64encode(server.ca.read_bytes()).decode())


def _furnished(server: ApiServer) -> bool:
    """Whether each namespace has its account and its copy of the server's authority."""
    names = {one["metadata"]["name"] for one in server.ask("GET", "/api/v1/namespaces")["items"]}
    return len(names) >= NAMESPACES_AT_FIRST and all(
        {one["metadata"]["namespace"] for one in server.ask("GET", f"/api/v1/{kind}")["items"] if one["metadata"]["name"] == name}
        >= names
        for kind, name in (("serviceaccounts", "default"), ("configmaps", "kube-root-ca.crt"))
    )


def _through(folder: Path, tunnel: Tunnel) -> tuple[str, str]:
    """The API server's arguments, by which its calls to Services go into the tunnel and not to an address that nobody here has."""
    way = {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": str(tunnel.socket)}}}
    ways = {
        "apiVersion": "apiserver.k8s.io/v1beta1", "kind": "EgressSelectorConfiguration",
        "egressSelections": [{"name": "cluster", "connection": way}],
    }  # fmt: skip
    path = folder / "egress.json"
    path.write_text(json.dumps(ways))
    return "--egress-selector-config-file", str(path)


def _outside(folder: Path, tunnel: Tunnel) -> dict[str, str]:
    """The provider's variables, by which Helm goes into the tunnel, and keeps what it reads in `folder`. Go asks loopback without a proxy."""
    helm = {f"HELM_{kind}_HOME": str(folder / "helm" / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    return {"HTTPS_PROXY": tunnel.url, "SSL_CERT_FILE": str(tunnel.authority), **helm}


def _put(folder: Path, name: str, script: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)
