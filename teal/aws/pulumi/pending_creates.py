"""Takes what Pulumi was making in the cluster when it was cut off for made, so that the next refresh looks for it.

Pulumi learns an object's id when its creation ends, and that of a Deployment ends when its pods are ready. A `pulumi` that was killed
before knows of the object only that it began to make it. To clear such a creation, as a refresh offers, is to forget the object: a
`destroy` would then leave it, with its pods. In Kubernetes the id can be told from what was asked for (NAMESPACE/NAME, `fqName` in
Pulumi's provider), and a refresh drops what it does not find.

`pulumi refresh --import-pending-creates` does not do it: it gives the operation another name, and the next state is written without it
(pkg/backend/snapshot.go of 3.274).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_CREATING: Final = "creating"
_KUBERNETES: Final = "kubernetes:"


def take_for_made(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """The exported state, with each object whose creation is pending among its resources. All other operations stay as they are."""
    known = {each["urn"] for each in deployment.get("resources") or ()}
    made, left = list[dict[str, Any]](), list[Mapping[str, Any]]()
    for pending in deployment.get("pending_operations") or ():
        resource = pending["resource"]
        if id_ := _id(resource) if pending["type"] == _CREATING and resource["urn"] not in known else "":
            made.append({**resource, "id": id_})
            known.add(resource["urn"])  # a second run that was cut off leaves a second operation
        else:
            left.append(pending)
    if not made:
        return dict(deployment)
    # At the end: what they depend on was made before them.
    return {**deployment, "resources": [*(deployment.get("resources") or ()), *made], "pending_operations": left}


def _id(resource: Mapping[str, Any]) -> str:
    """The provider's id of the object; empty for what is none of Kubernetes' or has no whole name."""
    metadata = (resource.get("inputs") or {}).get("metadata") or {}
    if not resource["type"].startswith(_KUBERNETES) or not metadata.get("namespace") or not metadata.get("name"):
        return ""
    return f"{metadata['namespace']}/{metadata['name']}"
