"""The Kubernetes versions that a stack may use: those that every part of the cluster is tested with and EKS supports.

runbooks/kubernetes-upgrade.md describes an upgrade.
"""

from __future__ import annotations

from datetime import date
from typing import Final, NamedTuple

# The end of EKS's standard support of each version. The clusters use no extended support (infra/platform/cluster/eks.py), so that
# EKS upgrades them by itself soon after. Source: endoflife.date/amazon-eks, which copies the EKS user guide's calendar. 1.36 is
# offered too (the guide's kubernetes-versions.md names it); its end could not be read here.
STANDARD_SUPPORT_ENDS: Final = {"1.34": date(2026, 12, 2), "1.35": date(2027, 3, 27)}


class ClusterComponent(NamedTuple):
    """A part of the cluster and the oldest and newest version of Kubernetes that its makers test it with."""

    name: str
    oldest: str
    newest: str


# Sources: ECK, README of deploy/eck-operator in Go module github.com/elastic/cloud-on-k8s/v3 v3.5.0; KEDA, keda.sh/docs/2.20/operate/cluster.
# KEDA 2.21 is tested with 1.34 to 1.36 (keda.sh/docs/2.22/operate/cluster), so 1.36 needs that first.
COMPONENTS: Final = (ClusterComponent("ECK 3.5", "1.32", "1.36"), ClusterComponent("KEDA 2.20", "1.33", "1.35"))


def unsupported_reason(version: str) -> str:
    """Why a cluster of this version cannot be built; empty when it can."""
    for part in COMPONENTS:
        if not _number(part.oldest) <= _number(version) <= _number(part.newest):
            return f"{part.name} is tested with Kubernetes {part.oldest} to {part.newest}, and not with {version}"
    if version not in STANDARD_SUPPORT_ENDS:
        return f"Kubernetes {version} is not in EKS' standard support, or nobody has read until when it is"
    return ""


def supported_versions() -> tuple[str, ...]:
    """Every version without a problem, the oldest first."""
    return tuple(sorted((one for one in STANDARD_SUPPORT_ENDS if not unsupported_reason(one)), key=_number))


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
