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
_REPLACED: Final = "pendingReplacement"  # of an object that was deleted so that another can have its name


def take_for_made(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """The exported state, with each object whose creation is pending among its resources. All other operations stay in what is returned;
    `pulumi stack import` drops them."""
    resources = [*(deployment.get("resources") or ())]
    places = {each["urn"]: place for place, each in enumerate(resources)}
    left = list[Mapping[str, Any]]()
    for pending in deployment.get("pending_operations") or ():
        wanted = pending["resource"]
        id_, place = _id(wanted), places.get(wanted["urn"])
        if pending["type"] != _CREATING or not id_ or (place is not None and not resources[place].get(_REPLACED)):
            left.append(pending)
        elif place is None:  # at the end, because what it depends on was made before it
            places[wanted["urn"]] = len(resources)
            resources.append({**wanted, "id": id_})
        else:  # the object before it is deleted, and what depends on it stands after this place
            resources[place] = {**wanted, "id": id_}
    if len(left) == len(deployment.get("pending_operations") or ()):
        return dict(deployment)
    return {**deployment, "resources": resources, "pending_operations": left}


def _id(resource: Mapping[str, Any]) -> str:
    """The provider's id of the object; empty for what is none of Kubernetes' or has no whole name."""
    metadata = (resource.get("inputs") or {}).get("metadata") or {}
    if not resource["type"].startswith(_KUBERNETES) or not metadata.get("namespace") or not metadata.get("name"):
        return ""
    return f"{metadata['namespace']}/{metadata['name']}"
