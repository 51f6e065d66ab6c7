"""The chart of the secrets store driver, of the module that tools/secrets-store pins, as EKS' add-on would install it for the platform."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Final

import yaml

from infra.platform.cluster import secrets
from tests.parts.infra import definitions
from tests.services import helm_chart

NAME: Final = "secrets-store-csi-driver"  # AWS' own values name it so, and the add-on's settings are under it


def folder() -> Path:
    """The chart's, in the driver's module."""
    return definitions.folder(definitions.SECRETS.path, definitions.SECRETS.version) / "charts" / NAME


def values() -> dict[str, Any]:
    """What the platform tells the add-on of the driver."""
    found: dict[str, Any] = secrets.addon_settings()[NAME]
    return found


def custom_resources() -> list[dict[str, Any]]:
    """Their definitions, which the chart has beside its templates."""
    return [yaml.safe_load(path.read_text()) for path in sorted((folder() / "crds").glob("*.yaml"))]


@functools.cache
def objects() -> list[dict[str, Any]]:
    """What Helm would install, but the Jobs that only bring and keep the definitions."""
    rendered = helm_chart.render(folder(), NAME, secrets.NAMESPACE, helm_chart.KUBERNETES, values())
    return [one for one in rendered if "helm.sh/hook" not in one["metadata"].get("annotations", {})]
