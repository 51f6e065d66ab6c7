"""Volumes for the node's pods: a claim gets a folder on the node that its pod is sent to, as a local volume.

It does what a provisioner outside Kubernetes does (docs of Kubernetes, "Dynamic Volume Provisioning"): the scheduler writes a claim's node, the
controllers write who is to make its volume, the binder waits for it. What is made is as large as the node's disk, whatever the claim asks for.
It looks twice a second where a real one watches.
"""

from __future__ import annotations

import shutil
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.cluster.apiserver import ApiServer, Refused
from tests.node.node import Node
from tests.services.beside import beside

CLASS: Final = "local"
PROVISIONER: Final = "teal.test/local"
LOOK_SECONDS: Final = 0.5
STOP_SECONDS: Final = 10.0
_FOLDER: Final = Path("/var/lib/volumes")  # of each node, which loses it when it ends
_NODE: Final = "volume.kubernetes.io/selected-node"
_BY: Final = "volume.kubernetes.io/storage-provisioner"
_MADE_BY: Final = "pv.kubernetes.io/provisioned-by"
_VOLUMES: Final = "/api/v1/persistentvolumes"


def storage_class() -> dict[str, Any]:
    """The one that claims without a class get."""
    return {
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": PROVISIONER, "reclaimPolicy": "Delete",
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "volumeBindingMode": "WaitForFirstConsumer",
    }  # fmt: skip


@dataclass
class Provisioner:
    """`name`: the claims of whose classes it answers. `failures`: what went wrong in a look, as text; the next look does it again."""

    server: ApiServer
    nodes: Mapping[str, Node]
    name: str
    failures: list[str] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            try:
                self._look()
            except Refused as refused:
                if refused.code not in (404, 409):  # what it saw has changed meanwhile
                    self.failures.append(str(refused))
            except Exception:  # noqa: BLE001 - a provisioner goes on
                self.failures.append(traceback.format_exc())

    def stop(self) -> None:
        self._end.set()

    def _look(self) -> None:
        for claim in self.server.ask("GET", "/api/v1/persistentvolumeclaims")["items"]:
            notes = claim["metadata"].get("annotations", {})
            if claim["status"]["phase"] == "Pending" and notes.get(_BY) == self.name and notes.get(_NODE) in self.nodes:
                self._make(claim, self.nodes[notes[_NODE]])
        for volume in self.server.ask("GET", _VOLUMES)["items"]:
            ours = volume["metadata"].get("annotations", {}).get(_MADE_BY) == self.name
            if (
                ours
                and volume["status"].get("phase") == "Released"
                and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
            ):
                self._remove(volume)

    def _make(self, claim: Mapping[str, Any], node: Node) -> None:
        place, wanted = claim["metadata"], claim["spec"]
        name = f"pvc-{place['uid']}"
        path = _FOLDER / name
        _outside(node, path).mkdir(parents=True, exist_ok=True)  # the same again after a look that was cut off
        terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node.name]}]}]
        kind = self.server.ask("GET", f"/apis/storage.k8s.io/v1/storageclasses/{wanted['storageClassName']}")
        self.server.apply({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "annotations": {_MADE_BY: self.name}},
            "spec": {
                "accessModes": wanted["accessModes"], "capacity": wanted["resources"]["requests"], "local": {"path": str(path)},
                "persistentVolumeReclaimPolicy": kind["reclaimPolicy"], "storageClassName": wanted["storageClassName"],
                "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": place["name"],
                             "namespace": place["namespace"], "uid": place["uid"]},
            },
        }, "provisioner")  # fmt: skip

    def _remove(self, volume: Mapping[str, Any]) -> None:
        (term,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        (name,) = term["matchExpressions"][0]["values"]
        if name in self.nodes:
            shutil.rmtree(_outside(self.nodes[name], Path(volume["spec"]["local"]["path"])), ignore_errors=True)
        self.server.ask("DELETE", f"{_VOLUMES}/{volume['metadata']['name']}")


@contextmanager
def provisioning(nodes: Sequence[Node], name: str = PROVISIONER) -> Iterator[Provisioner]:
    """Until the end of the block, for claims whose class names this provisioner: `storage_class`, or a class of the platform's, whose own
    is AWS's."""
    made = Provisioner(nodes[0].server, {node.name: node for node in nodes}, name)
    with beside(made, "volumes", STOP_SECONDS):
        yield made


def _outside(node: Node, path: Path) -> Path:
    """A path of the node's as this machine sees it."""
    return node.machine.root / path.relative_to("/")
