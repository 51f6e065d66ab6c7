"""The chart of ECK's operator, of the module whose version the platform names, as Helm would install it for the platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.parts.infra import definitions
from tests.services import helm_chart
from tests.unit.infra.conftest import Stack, evaluate


@dataclass(frozen=True)
class Chart:
    """What Helm would install: `definitions` first."""

    definitions: list[dict[str, Any]]
    rest: list[dict[str, Any]]

    @property
    def image(self) -> str:
        """The operator's."""
        (workload,) = (one for one in self.rest if one["kind"] == "StatefulSet")
        name: str = workload["spec"]["template"]["spec"]["containers"][0]["image"]
        return name


def folder() -> Path:
    """The chart's, in the operator's module."""
    return definitions.folder(definitions.ECK.path, definitions.ECK.version) / "deploy" / "eck-operator"


def release(stack: Stack = "dev") -> Mapping[str, Any]:
    """What the platform asks Helm for."""
    (found,) = (one.inputs for one in evaluate("platform", stack).resources if one.inputs.get("chart") == "eck-operator")
    return dict(found)


def chart(stack: Stack = "dev") -> Chart:
    """Rendered by Helm's library, with what the platform gives it."""
    asked = release(stack)
    found = helm_chart.render(folder(), asked["name"], asked["namespace"], helm_chart.KUBERNETES, asked["values"])
    count = sum(one["kind"] == "CustomResourceDefinition" for one in found)
    return Chart(found[:count], found[count:])
