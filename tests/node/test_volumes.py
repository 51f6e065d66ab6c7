"""A claim is given a volume on the node, which keeps what a pod wrote when the pod goes, and goes with its claim."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from contract.names import OPERATOR_NAMESPACE
from tests.node import color, pods, volumes
from tests.node.node import Node, await_true
from tests.node.volumes import Provisioner

pytestmark = pytest.mark.integration

NAMESPACE: Final = OPERATOR_NAMESPACE
CLAIM: Final = {
    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "kept", "namespace": NAMESPACE},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}  # fmt: skip
END_SECONDS: Final = 60.0


@pytest.fixture
def provisioner(running_node: Node) -> Iterator[Provisioner]:
    server = running_node.server
    for document in (*color.closed(NAMESPACE), volumes.storage_class(), CLAIM):
        server.apply(document, "administrator")
    with volumes.provisioning([running_node]) as running:
        yield running


def _pod(name: str) -> dict[str, Any]:
    made = pods.manifest(NAMESPACE, name, {})
    made["spec"]["volumes"] = [{"name": "kept", "persistentVolumeClaim": {"claimName": "kept"}}]
    made["spec"]["containers"][0]["volumeMounts"] = [{"name": "kept", "mountPath": "/kept"}]
    made["spec"]["securityContext"]["fsGroup"] = 10001
    return made


def _volume(node: Node) -> Path:
    """Its folder, seen from outside."""
    bound = node.server.read(CLAIM) or {}
    held = node.server.ask("GET", f"/api/v1/persistentvolumes/{bound['spec']['volumeName']}")
    return node.machine.root / Path(held["spec"]["local"]["path"]).relative_to("/")


def _end(node: Node, document: dict[str, Any]) -> None:
    node.server.ask("DELETE", node.server.path(document))
    await_true(lambda: node.server.read(document) is None, f"{document['kind']} gone", END_SECONDS)


def test_a_claim_keeps_its_files_from_pod_to_pod_and_takes_them_with_it(running_node: Node, provisioner: Provisioner) -> None:
    first = pods.start(running_node, _pod("first"))
    folder = _volume(running_node)
    assert folder.stat().st_gid == 10001  # so that the pod's group may write
    (folder / "word").write_text("kept")
    _end(running_node, first)
    second = pods.start(running_node, _pod("second"))
    inside = Path(f"/proc/{pods.process(running_node, second)}/root/kept/word")
    assert (running_node.machine.root / inside.relative_to("/")).read_text() == "kept"
    _end(running_node, second)
    _end(running_node, CLAIM)
    await_true(lambda: not folder.exists(), "the volume gone", END_SECONDS)
    assert provisioner.failures == []
