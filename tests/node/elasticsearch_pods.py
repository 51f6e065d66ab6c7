"""The platform's Elasticsearch in pods that ECK's operator makes, on one node, of an image of the tests' (tests/services/elasticsearch_image.py).

What is changed of the platform's objects for that, and nothing else:

| of | changed | because |
|---|---|---|
| settings | `s3.client.default.region` and `ingest.geoip.downloader.enabled` are left out | the zip of Maven refuses what it has no module for |
| settings | `node.store.allow_mmap: false` | the whole machine's `vm.max_map_count` is left as it is |
| settings | `path.repo`, and a volume of that name | snapshots go to a folder, because the zip knows no `s3` |
| pods | a copy of the built-in roles, which Kibana reads, is not written | its index needs an analyzer that the zip has not |
| pods | smaller heap, memory and request of CPU; they may share a node; 5 s of `PRE_STOP_ADDITIONAL_WAIT_SECONDS` in the place of 50 | two cores, one node, and the tests' time |
| pods | they are told of 65,535 open files where the machine allows fewer and its root may not change that | Elasticsearch refuses to form a cluster with fewer |
| network policies | dev's for every stack | each names the addresses of its own VPC, and the node has dev's |
| the set-up Job | its repository is that folder; the policies of SLM and ILM, and the setting that names ILM's, are left out | the zip has neither |
"""

from __future__ import annotations

import base64
import copy
import json
import shutil
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from infra.platform.cluster.objects import POOL_LABEL, SEARCH_POOL
from infra.platform.search import setup
from infra.platform.search.network import HTTP
from infra.platform.search.resources import CA_SECRET, NAME, NAMESPACE, URL
from tests.node import eck, volumes
from tests.node.node import NAME as NODE_NAME
from tests.node.node import Node, await_true
from tests.node.search import LABELS
from tests.services import elasticsearch_image
from tests.services.required import require
from tests.unit.infra.conftest import Stack

SET: Final = f"{NAME}-es-default"
ZONE: Final = "eu-central-1a"
MEMORY_MIB: Final = 1200  # of a pod; 1 GiB was seen in use with this heap
HEAP_MIB: Final = 384
READY_SECONDS: Final = 600.0
SETUP_SECONDS: Final = 300.0
SNAPSHOTS: Final = "snapshots"
_REFUSED: Final = ("s3.client.default.region", "ingest.geoip.downloader.enabled")
_NO_ROLES_INDEX: Final = "-Des.queryable_built_in_roles_enabled=false"
_REPOSITORY: Final = "/mnt/snapshots"  # in the pods


@dataclass(frozen=True)
class Cluster:
    """Elasticsearch of one stack, in the operator's pods."""

    node: Node
    stack: Stack

    def apply(self, settings: Mapping[str, Any] | None = None) -> None:
        """The custom resource; `settings`: of Elasticsearch, besides its own."""
        document = elasticsearch(self.stack)
        document["spec"]["nodeSets"][0]["config"] |= dict(settings or {})
        self.node.server.apply(document, "administrator")

    def pods(self) -> list[dict[str, Any]]:
        """Those that are not being ended."""
        return self.node.pods(NAMESPACE, **LABELS)

    def healthy(self) -> bool:
        """The operator's own word, of what was applied last."""
        found = eck.read(self.node, "Elasticsearch", NAME) or {}
        (nodes,) = found["spec"]["nodeSets"]
        said = found.get("status", {})
        whole = (said.get("phase"), said.get("health"), said.get("availableNodes")) == ("Ready", "green", nodes["count"])
        return whole and said.get("observedGeneration") == found["metadata"]["generation"]

    def await_healthy(self, seconds: float = READY_SECONDS) -> float:
        """Seconds it took."""
        began = time.monotonic()
        try:
            await_true(self.healthy, f"Elasticsearch {NAMESPACE}/{NAME}", seconds)
        except TimeoutError as error:
            said = (eck.read(self.node, "Elasticsearch", NAME) or {}).get("status")
            raise AssertionError(f"{error}; {said}; the operator: {eck.operator_log(self.node.machine.root)[-3000:]}") from error
        return time.monotonic() - began

    def secret(self, name: str) -> dict[str, str]:
        """The text of a Secret in search's namespace."""
        held = (eck.read(self.node, "Secret", name) or {})["data"]
        return {key: base64.b64decode(value).decode() for key, value in held.items()}

    def ask(
        self, user: str, method: str, path: str, body: Mapping[str, Any] | None = None, pod: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        """Through the Service, or of one pod; verified by the authority and the name that pods are told."""
        service = eck.read(self.node, "Service", f"{NAME}-es-http") or {}
        address = pod["status"]["podIP"] if pod else service["spec"]["clusterIP"]
        who = self.secret(user)
        host = str(urlsplit(URL).hostname)
        trusted = ssl.create_default_context(cadata=self.secret(CA_SECRET)["ca.crt"])
        with httpx.Client(
            base_url=f"https://{address}:{HTTP}", verify=trusted, trust_env=False, timeout=60,
            auth=(who["username"], who["password"]), headers={"Host": host},
        ) as client:  # fmt: skip
            return client.request(method, path, json=body, extensions={"sni_hostname": host})

    def set_up(self) -> str:
        """Runs the platform's Job until it has ended; what it said."""
        files, job = setup_objects(self.stack)
        for document in (files, job):
            self.node.server.apply(document, "administrator")
        await_true(
            lambda: {"succeeded", "failed"} & set((self.node.server.read(job) or {})["status"]), "the set-up Job", SETUP_SECONDS
        )
        logs = self.node.machine.root.glob(f"var/log/pods/{NAMESPACE}_{job['metadata']['name']}*/*/*.log")
        return "\n".join(path.read_text() for path in sorted(logs))


def build_image() -> Path:
    """The archive. Skips (fails in CI) where it is missing and cannot be built."""
    require("javac", "apt-get install openjdk-17-jdk-headless.", shutil.which("javac") is not None)
    require("mmdebstrap", "apt-get install mmdebstrap.", shutil.which("mmdebstrap") is not None)
    require("gcc", "apt-get install gcc libc6-dev.", not elasticsearch_image.FEW_FILES or shutil.which("gcc") is not None)
    return elasticsearch_image.build()


def elasticsearch(stack: Stack) -> dict[str, Any]:
    """The custom resource of the stack, as it can run here."""
    document = copy.deepcopy(eck.custom(stack)["Elasticsearch"])
    (nodes,) = document["spec"]["nodeSets"]
    kept = {name: value for name, value in nodes["config"].items() if name not in _REFUSED}
    nodes["config"] = {**kept, "node.store.allow_mmap": False, "path.repo": [_REPOSITORY]}
    pod = nodes["podTemplate"]["spec"]
    pod.pop("affinity", None)
    (container,) = pod["containers"]
    memory = f"{MEMORY_MIB}Mi"
    container["resources"] = {"requests": {"cpu": "100m", "memory": memory}, "limits": {"cpu": "2", "memory": memory}}
    variables = {one["name"]: one["value"] for one in container["env"]}
    variables |= {"ES_JAVA_OPTS": f"-Xms{HEAP_MIB}m -Xmx{HEAP_MIB}m {_NO_ROLES_INDEX}", "PRE_STOP_ADDITIONAL_WAIT_SECONDS": "5"}
    if elasticsearch_image.FEW_FILES:
        variables["LD_PRELOAD"] = elasticsearch_image.OPEN_FILES
    container["env"] = [{"name": name, "value": value} for name, value in variables.items()]
    container["volumeMounts"].append({"name": SNAPSHOTS, "mountPath": _REPOSITORY})
    pod["volumes"].append({"name": SNAPSHOTS, "persistentVolumeClaim": {"claimName": SNAPSHOTS}})
    return document


@contextmanager
def prepared(node: Node) -> Iterator[None]:
    """What Auto Mode has, until the end of the block: labels of the pool, a zone and its own on the node, and volumes for claims of the platform's class,
    among them one folder for the snapshots of all pods, as a bucket is."""
    labels = {POOL_LABEL: SEARCH_POOL, "topology.kubernetes.io/zone": ZONE, "eks.amazonaws.com/compute-type": "auto"}
    node.server.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE_NAME, "labels": labels}}, "tests")
    (kind,) = (one for one in eck.platform_objects("dev") if one["kind"] == "StorageClass")
    with volumes.provisioning([node], kind["provisioner"]) as disks:
        yield
    assert disks.failures == []


def claim_for_snapshots(node: Node) -> None:
    (nodes,) = eck.custom("dev")["Elasticsearch"]["spec"]["nodeSets"]
    spec = {**nodes["volumeClaimTemplates"][0]["spec"], "accessModes": ["ReadWriteMany"]}
    metadata = {"name": SNAPSHOTS, "namespace": NAMESPACE}
    node.server.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}, "tests")


def setup_objects(stack: Stack) -> tuple[dict[str, Any], dict[str, Any]]:
    """The platform's ConfigMap and Job, with what this Elasticsearch can do."""
    found = {one["kind"]: copy.deepcopy(one) for one in eck.platform_objects(stack) if one["kind"] in ("ConfigMap", "Job")}
    files: dict[str, str] = found["ConfigMap"]["data"]
    lines = [line for line in files["requests"].splitlines() if not line.split()[1].startswith(("/_slm/", "/_ilm/"))]
    files["requests"] = "\n".join(lines) + "\n"
    for line in lines:
        body = line.split()[2]
        if body != "-":
            files[body] = json.dumps(_possible(json.loads(files[body])))
    return found["ConfigMap"], found["Job"]


def _possible(body: Mapping[str, Any]) -> dict[str, Any]:
    if body.get("type") == "s3":
        return {"type": "fs", "settings": {"location": setup.REPOSITORY}}
    if "template" in body:
        return {**body, "template": {"settings": _possible(body["template"]["settings"])}}
    return {"index": {name: value for name, value in body["index"].items() if name != "lifecycle"}}
