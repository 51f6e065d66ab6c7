"""Definitions of custom resources as JSON schemas: from their owners' Go modules, or made by hand where the owner publishes none.

Modules are fetched into Go's own cache by `go mod download`, which checks them against Go's checksum database; nothing is copied here.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from infra.platform.cluster import autoscaling
from infra.platform.search import operator
from tests.services.required import require

DOWNLOAD_SECONDS: Final = 240


class Module(NamedTuple):
    """A Go module, its version, and the file in it that holds definitions."""

    path: str
    version: str
    file: str


ECK: Final = Module("github.com/elastic/cloud-on-k8s/v3", f"v{operator.VERSION}", "config/crds/v1/all-crds.yaml")
KEDA: Final = "github.com/kedacore/keda/v2"
# Auto Mode runs Karpenter without saying which version; v1.8.0 has the same `karpenter.sh/v1`.
_KARPENTER = Module("sigs.k8s.io/karpenter", "v1.8.0", "pkg/apis/crds/karpenter.sh_nodepools.yaml")
# The driver that AWS' chart 3.1 and with it EKS's add-on brings: pull request 612 of aws/secrets-store-csi-driver-provider-aws.
SECRETS: Final = Module(
    "sigs.k8s.io/secrets-store-csi-driver", "v1.6.0", "config/crd/bases/secrets-store.csi.x-k8s.io_secretproviderclasses.yaml"
)
SOURCES: Final[Mapping[tuple[str, str], Module]] = {
    ("elasticsearch.k8s.elastic.co/v1", "Elasticsearch"): ECK,
    ("kibana.k8s.elastic.co/v1", "Kibana"): ECK,
    ("keda.sh/v1alpha1", "ScaledObject"): Module(KEDA, f"v{autoscaling.VERSION}", "config/crd/bases/keda.sh_scaledobjects.yaml"),
    ("keda.sh/v1alpha1", "TriggerAuthentication"): Module(
        KEDA, f"v{autoscaling.VERSION}", "config/crd/bases/keda.sh_triggerauthentications.yaml"
    ),
    ("karpenter.sh/v1", "NodePool"): _KARPENTER,
    ("secrets-store.csi.x-k8s.io/v1", "SecretProviderClass"): SECRETS,
}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


_TEXT: Final[dict[str, Any]] = {"type": "string", "minLength": 1}
# Auto Mode's own kinds are in no module. Source: EKS user guide, "Use EKS Auto Mode with an existing target group" and the
# migration reference of Auto Mode's load balancing: `targetType` is required and `networking.ingress` is not supported. Narrower
# than the real one on purpose: only what this program uses.
HAND_MADE: Final[Mapping[tuple[str, str], dict[str, Any]]] = {
    ("eks.amazonaws.com/v1", "TargetGroupBinding"): _object(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "eks.amazonaws.com/v1"},
        kind={"const": "TargetGroupBinding"},
        metadata={"type": "object"},
        spec=_object(
            ["serviceRef", "targetGroupARN", "targetType"],
            serviceRef=_object(["name", "port"], name=_TEXT, port={"type": ["integer", "string"]}),
            targetGroupARN={"type": "string", "pattern": "^arn:aws:elasticloadbalancing:"},
            targetType={"enum": ["ip"]},
        ),
    ),
}


@functools.cache
def schema(api_version: str, kind: str) -> dict[str, Any] | None:
    """The definition as a JSON schema that refuses unknown fields, or None for a kind that nobody defines here."""
    made = HAND_MADE.get((api_version, kind))
    if made is not None:
        return made
    source = SOURCES.get((api_version, kind))
    if source is None:
        return None
    for document in documents(source):
        names, group = document["spec"]["names"], document["spec"]["group"]
        for version in document["spec"]["versions"]:
            if names["kind"] == kind and f"{group}/{version['name']}" == api_version:
                return closed(version["schema"]["openAPIV3Schema"])
    raise LookupError(f"{source.file} of {source.path}@{source.version} does not define {api_version} {kind}")


def closed(node: Any) -> Any:
    """As the API server would take it, but with unknown fields refused where it would drop them without a word."""
    if isinstance(node, list):
        return [closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    # Defaults and enumerations are data, and a property may be called `format`; CEL rules (x-kubernetes-validations) are not checked here.
    made = {
        key: (value if key in ("default", "example", "enum") else closed(value)) for key, value in node.items() if key != "format"
    }
    if isinstance(node.get("properties"), dict):
        made["properties"] = {name: closed(value) for name, value in node["properties"].items()}
        if node.get("type") == "object" and not node.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    if node.get("nullable") and isinstance(node.get("type"), str):
        made["type"] = [node["type"], "null"]
    return made


@functools.cache
def documents(source: Module) -> list[dict[str, Any]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is
    text = (folder(source.path, source.version) / source.file).read_text()
    return [document for document in yaml.load_all(text, Loader=loader) if document]  # a safe loader, both


@functools.cache
def folder(path: str, version: str) -> Path:
    """Of the module, in Go's cache."""
    require(
        "go", "Install Go 1.24 or later: definitions of custom resources come from Go modules.", shutil.which("go") is not None
    )
    with tempfile.TemporaryDirectory() as nowhere:  # no go.mod there: this project is no Go module
        done = subprocess.run(
            ["go", "mod", "download", "-json", f"{path}@{version}"],
            cwd=nowhere,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
            check=False,
        )
    said: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
    require(f"Go module {path}@{version}", said.get("Error") or done.stderr or "It has no folder.", "Dir" in said)
    return Path(said["Dir"])
