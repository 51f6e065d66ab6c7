"""Helm's releases as the platform's state describes them: those that an interrupted run left half done.

Read in pulumi-kubernetes' provider (provider/pkg/provider/helm_release.go of the version that `tools/` pins) and run in
tests/engine/test_kubernetes_platform_cut_off.py: a refresh takes what Helm was asked for as what is there. The next `up` then finds
nothing to change, and ends well, although Helm had perhaps changed nothing yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from teal.aws.pulumi.cli import StateResource
from teal.events import CheckRow

RELEASE: Final = "kubernetes:helm.sh/v3:Release"
_CUT_OFF: Final = ("pending-install", "pending-upgrade", "pending-rollback")  # Helm's own words
_MEND: Final = "runbooks/stuck-pulumi-state.md, the block unlock-aws"


def cut_off(resources: Iterable[StateResource]) -> Iterator[CheckRow]:
    """A row for each release in the middle of whose change a run ended."""
    for one in resources:
        status = (one.outputs.get("status") or {}).get("status") if one.type == RELEASE else None
        if status in _CUT_OFF:
            yield CheckRow("helm", False, f"the release {one.id} is {status}: a run ended while Helm worked on it", _MEND)
