"""Pods of the tests' own beside those of the service, and what can be done in a pod: enter its network, run a command in its container."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.cluster.apiserver import conditions
from tests.node.node import PAUSE, Node, await_true

_CTR: Final = ("ctr", "--namespace", "k8s.io", "tasks")
_START_SECONDS: Final = 120.0  # 2 s alone
_EXECUTIONS: Final = itertools.count()


def manifest(
    namespace: str, name: str, labels: Mapping[str, str], image: str = PAUSE, words: Sequence[str] = ()
) -> dict[str, Any]:
    """A pod that the strictest rules let in. Without `words` it runs what its image runs."""
    context = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "only", "image": image, "imagePullPolicy": "IfNotPresent", "securityContext": context}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "containers": [{**container, "command": list(words)} if words else container],
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "automountServiceAccountToken": False, "enableServiceLinks": False, "terminationGracePeriodSeconds": 1,
        },
    }  # fmt: skip


def start(node: Node, document: Mapping[str, Any]) -> dict[str, Any]:
    """Make the pod, and wait until it is ready; as the server knows it then."""
    namespace = document["metadata"]["namespace"]
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}}
    await_true(lambda: node.server.read(account), f"service account of {namespace}", _START_SECONDS)  # a controller makes it
    node.server.apply(document, "tests")
    name = f"{namespace}/{document['metadata']['name']}"
    await_true(lambda: "True" in conditions(node.server.read(document) or {}, "Ready"), name, _START_SECONDS)
    return node.server.read(document) or {}


def network(node: Node, pod: Mapping[str, Any]) -> Path:
    """The pod's network, for `machine.network`."""
    return node.machine.root / network_inside(node, pod).relative_to("/")


def network_inside(node: Node, pod: Mapping[str, Any]) -> Path:
    """The same as the node's own processes see it."""
    return Path("/proc", process(node, pod), "ns", "net")


def kill(node: Node, pod: Mapping[str, Any]) -> None:
    """`kill -9` of its first process, as the kernel does when memory is short."""
    node.machine.run("kill", "-9", process(node, pod))


@contextmanager
def cut_off(node: Node, pod: Mapping[str, Any]) -> Iterator[None]:
    """Until the block ends, no other pod's packet reaches this one, nor the other way round, and nobody is told: as when its machine is gone.
    Kubelet, which is on the machine, still finds it ready."""
    address = pod["status"]["podIP"]
    rule = node.machine.rule
    with rule("FORWARD", "-d", address, "-j", "DROP"), rule("FORWARD", "-s", address, "-j", "DROP"):
        yield


def execute(node: Node, pod: Mapping[str, Any], *words: str, seconds: float = 60.0) -> str:
    """What the command printed in the pod's container, as its user. Raises with what it said where it fails."""
    return node.machine.run(*_CTR, "exec", "--exec-id", f"tests-{next(_EXECUTIONS)}", _container(pod), *words, seconds=seconds)


def process(node: Node, pod: Mapping[str, Any]) -> str:
    """The number of the pod's first process, as the node's own processes count."""
    rows = [line.split() for line in node.machine.run(*_CTR, "ls").splitlines()]
    (process,) = (row[1] for row in rows if row[0] == _container(pod))
    return process


def _container(pod: Mapping[str, Any]) -> str:
    found: str = pod["status"]["containerStatuses"][0]["containerID"]
    return found.removeprefix("containerd://")
