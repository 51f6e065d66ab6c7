"""The security contexts of all pods of this program:
no root, no writable root file system, no capabilities, no new privileges."""

from __future__ import annotations

from typing import Any, Final

CONTAINER: Final[dict[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def pod_of(user: int) -> dict[str, Any]:
    """The pod's securityContext: everything in it runs as `user`, who owns the mounted volumes."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
