"""A Kubernetes for Pulumi's own provider: a real API server and controller manager, and pods that are ready at once (pods.py).

What the programs know of EKS is what it says here: the stand-in's cluster has the server's address, and `aws eks get-token` answers with
a token of this server. So the kubeconfig that both programs make is used as it is.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cluster import apiserver
from tests.cluster.apiserver import ApiServer
from tests.cluster.conftest import PREVIEW, RELEASE
from tests.engine.pods import Pods
from tests.engine.provider import PACKAGES, Cloud, StandIn
from tests.services.go_tools import tool
from tests.services.ports import free_port

PROVIDER: Final = "pulumi-resource-kubernetes"
REAL: Final = "kubernetes"
STOOD_IN: Final = tuple(package for package in PACKAGES if package != REAL)
TOKENS: Final = {"release": "of-a-release", "preview": "of-a-plan"}
WHO: Final = "TEAL_TEST_TOKEN"  # the variable that says whose token `aws eks get-token` answers with
_CLUSTER: Final = "aws:eks/cluster:Cluster"
_AWS: Final = """#!/bin/sh
printf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{},"status":{"token":"%s"}}' \\
  "${TEAL_TEST_TOKEN:-of-these-tests-alone}"
"""


@dataclass(frozen=True)
class Kubernetes:
    """`endpoint` and `ca_data` are what EKS says of its cluster."""

    server: ApiServer
    pods: Pods
    endpoint: str
    ca_data: str


class OnCluster(StandIn):
    """AWS's stand-in, whose EKS cluster is this one."""

    def __init__(self, kubernetes: Kubernetes, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._kubernetes = kubernetes

    def answer(self, kind: str, name: str, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        identifier, outputs = super().answer(kind, name, inputs)
        if kind == _CLUSTER:
            ca = {"data": self._kubernetes.ca_data}
            outputs |= {"endpoint": self._kubernetes.endpoint, "certificateAuthorities": [ca], "certificateAuthority": ca}
        return identifier, outputs


@contextmanager
def start(folder: Path, shell: pytest.MonkeyPatch, variables: Mapping[str, str] | None = None) -> Iterator[Kubernetes]:
    """In `folder`. Pulumi's provider, which gets these `variables`, and `aws` are on PATH afterwards."""
    commands = folder / "commands"
    provider, manager = tool(PROVIDER), tool("kube-controller-manager")
    users = {TOKENS["release"]: RELEASE, TOKENS["preview"]: PREVIEW}
    with ExitStack() as running:
        server = running.enter_context(apiserver.start(folder, users=users))
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(json.dumps(_kubeconfig(server)))
        running.enter_context(apiserver.process(folder / "controller-manager.log", [
            str(manager), "--kubeconfig", str(kubeconfig), "--leader-elect=false", "--bind-address", "127.0.0.1",
            "--secure-port", str(free_port()), "--cert-dir", str(folder / "manager"),
            "--authentication-kubeconfig", str(kubeconfig), "--authorization-kubeconfig", str(kubeconfig),
        ]))  # fmt: skip
        pods = running.enter_context(Pods(server).ready())
        _put(commands, "aws", _AWS)
        given = " ".join(f"{name}='{value}'" for name, value in (variables or {}).items())
        _put(commands, PROVIDER, f"#!/bin/sh\nexec env {given} '{provider}' \"$@\"\n")
        shell.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
        yield Kubernetes(server, pods, server.url, base64.b64encode(server.ca.read_bytes()).decode())


def aws_of(kubernetes: Kubernetes) -> Any:
    """The stand-in of AWS for `provider.serve`."""
    return partial(OnCluster, kubernetes)


def _put(folder: Path, name: str, script: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)


def _kubeconfig(server: ApiServer) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": server.url, "certificate-authority": str(server.ca)}}],
        "users": [{"name": "it", "user": {"token": apiserver.TOKEN}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }  # fmt: skip
