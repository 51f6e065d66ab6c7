"""What Helm would install of a chart that lies in a folder, by Helm's own library (tools/eck-operator/chart)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.services.go_tools import tool

KUBERNETES: Final = "v1.35.4"  # what charts are told; tools/kubernetes pins it


def render(folder: Path, name: str, namespace: str, kubernetes: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objects, definitions of custom resources first. `kubernetes`: the cluster's version, as charts ask for it."""
    words = [str(tool("chart")), str(folder), name, namespace, kubernetes]
    ended = subprocess.run(words, input=json.dumps(values), capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"Helm does not render {folder.name}: {ended.stderr.strip()}")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is
    found = [one for one in yaml.load_all(ended.stdout, Loader=loader) if one]  # a safe loader, both
    return sorted(found, key=lambda one: one["kind"] != "CustomResourceDefinition")


def default_values(folder: Path) -> dict[str, Any]:
    """What the chart takes where nobody says otherwise."""
    found: dict[str, Any] = yaml.safe_load((folder / "values.yaml").read_text())
    return found
