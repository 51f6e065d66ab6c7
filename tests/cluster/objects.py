"""The Kubernetes objects that both programs register for a stack, and the definitions of the custom ones among them."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Iterator
from typing import Any, Final

from infra.evaluation.evaluate import Evaluation
from tests.parts.infra import definitions
from tests.unit.infra import service_program
from tests.unit.infra.conftest import Program, Stack, evaluate

APART = ("pulumi:providers:kubernetes", "kubernetes:helm.sh/v3:Release")
_FIRST = ("Namespace",)  # everything else is in one of them
_QUANTITY: Final = re.compile(r"(\d+)(m|[KMGT]i)")
_LARGER: Final = {"Ki": "Mi", "Mi": "Gi", "Gi": "Ti"}


def objects(program: Program, stack: Stack) -> list[dict[str, Any]]:
    """As the provider sends them, in an order that the server takes."""
    found = [
        as_sent(dict(one.inputs))
        for one in _evaluated(program, stack).resources
        if one.type.startswith("kubernetes:") and one.type not in APART
    ]
    return sorted(found, key=lambda document: document["kind"] not in _FIRST)


@functools.cache
def _evaluated(program: Program, stack: Stack) -> Evaluation:
    platform = evaluate("platform", stack)
    if program == "platform":
        return platform
    image = f"{platform.outputs['repository_url']}@sha256:{'ab' * 32}"  # the platform's admission policy lets no other in
    return service_program.evaluate(stack, platform.outputs, image=image)


def as_sent(document: dict[str, Any]) -> dict[str, Any]:
    """As Pulumi's provider sends it: a Secret's text encoded, quantities in their shortest form (its `clients.Normalize`)."""
    if document["kind"] != "Secret":
        shortened: dict[str, Any] = _shortened(document)
        return shortened
    plain = {name: base64.b64encode(text.encode()).decode() for name, text in document.get("stringData", {}).items()}
    kept = {key: value for key, value in document.items() if key != "stringData"}
    return {**kept, "data": {**document.get("data", {}), **plain}}


def _shortened(value: Any, name: str = "") -> Any:
    if isinstance(value, list):
        return [_shortened(each) for each in value]
    if not isinstance(value, dict):
        return value
    if name in ("limits", "requests"):
        return {key: _quantity(str(each)) for key, each in value.items()}
    return {key: _shortened(each, key) for key, each in value.items()}


def _quantity(text: str) -> str:
    parts = _QUANTITY.fullmatch(text)
    if parts is None:
        return text
    number, unit = int(parts[1]), parts[2]
    while unit in _LARGER and number % 1024 == 0:
        number, unit = number // 1024, _LARGER[unit]
    return str(number // 1000) if unit == "m" and number % 1000 == 0 else f"{number}{unit}"


def custom_resource_definitions() -> list[dict[str, Any]]:
    """Each whole, from its owner's Go module; those that no module has are open: their form is checked by tests/unit/infra."""
    return [*_published(), *(_open(api_version, kind) for api_version, kind in definitions.HAND_MADE)]


def _published() -> Iterator[dict[str, Any]]:
    wanted = {(api_version.split("/")[0], kind) for api_version, kind in definitions.SOURCES}
    for module in dict.fromkeys(definitions.SOURCES.values()):
        for document in definitions.documents(module):
            if (document["spec"]["group"], document["spec"]["names"]["kind"]) in wanted:
                metadata = {key: value for key, value in document["metadata"].items() if key in ("name", "labels", "annotations")}
                yield {**{key: value for key, value in document.items() if key != "status"}, "metadata": metadata}


def _open(api_version: str, kind: str) -> dict[str, Any]:
    group, version = api_version.split("/")
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }  # fmt: skip
