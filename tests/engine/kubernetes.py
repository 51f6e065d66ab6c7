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
from typing import Any, Final

import pytest

from tests.cluster import apiserver
from tests.cluster.apiserver import ApiServer
from tests.cluster.conftest import RELEASE
from tests.engine.pods import Pods
from tests.engine.provider import PACKAGES
from tests.services.go_tools import tool
from tests.services.ports import free_port

PROVIDER: Final = "pulumi-resource-kubernetes"
REAL: Final = "kubernetes"
STOOD_IN: Final = tuple(package for package in PACKAGES if package != REAL)
RELEASE_TOKEN: Final = "of-a-release"
WHO: Final = "TEAL_TEST_TOKEN"  # the variable that says whose token `aws eks get-token` answers with
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


@contextmanager
def start(folder: Path, shell: pytest.MonkeyPatch) -> Iterator[Kubernetes]:
    """In `folder`. Pulumi's provider and `aws` are on PATH afterwards."""
    commands = folder / "commands"
    provider, manager = tool(PROVIDER), tool("kube-controller-manager")
    with ExitStack() as running:
        server = running.enter_context(apiserver.start(folder, users={RELEASE_TOKEN: RELEASE}))
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(json.dumps(_kubeconfig(server)))
        running.enter_context(apiserver.process(folder / "controller-manager.log", [
            str(manager), "--kubeconfig", str(kubeconfig), "--leader-elect=false", "--bind-address", "127.0.0.1",
            "--secure-port", str(free_port()), "--cert-dir", str(folder / "manager"),
            "--authentication-kubeconfig", str(kubeconfig), "--authorization-kubeconfig", str(kubeconfig),
        ]))  # fmt: skip
        pods = running.enter_context(Pods(server).ready())
        _put(commands, "aws", _AWS)
        _put(commands, PROVIDER, f"#!/bin/sh\nexec '{provider}' \"$@\"\n")
        shell.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
        yield Kubernetes(server, pods, server.url, base64.b64encode(server.ca.read_bytes()).decode())


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
