"""Everything that a Kubernetes API server holds, of every kind that it knows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.cluster.apiserver import ApiServer, Refused

# What the control plane writes about its own work, at any time.
_ITS_OWN: Final = ("events", "leases", "componentstatuses")
GONE_SECONDS: Final = 60.0  # for the controllers to delete what belonged to the deleted; 2 s alone on two cores
_LOOK_SECONDS: Final = 0.5


def objects(server: ApiServer) -> dict[str, dict[str, Any]]:
    """By path."""
    return {path: one for base, name, namespaced in _kinds(server) for path, one in _listed(server, base, name, namespaced)}


def made(server: ApiServer, before: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What Pulumi applied that was not there before, by path; without what controllers and Helm made of it."""
    return {
        path: one
        for path, one in objects(server).items()
        if path not in before and any(map(_applied, one["metadata"].get("managedFields", ())))
    }


def identities(held: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """An object that was deleted and made again has another one."""
    return {path: str(one["metadata"]["uid"]) for path, one in held.items()}


def generations(held: Mapping[str, dict[str, Any]]) -> dict[str, int]:
    """How often the meaning of each object was changed, where the server counts it."""
    return {path: int(one["metadata"].get("generation", 0)) for path, one in held.items()}


def left(server: ApiServer, before: Mapping[str, Any]) -> list[str]:
    """The paths of what was not there before and stays, and of what is gone ("- "); empty as soon as all is as it was."""
    deadline = time.monotonic() + GONE_SECONDS
    while True:
        found = objects(server)
        changed = sorted([*(set(found) - set(before)), *(f"- {path}" for path in set(before) - set(found))])
        if not changed or time.monotonic() > deadline:
            return changed
        time.sleep(_LOOK_SECONDS)


def _applied(field: Mapping[str, Any]) -> bool:
    return field["operation"] == "Apply" and str(field["manager"]).startswith("pulumi-kubernetes")


def _kinds(server: ApiServer) -> Iterator[tuple[str, str, bool]]:
    groups = server.ask("GET", "/apis")["groups"]
    for base in ("/api/v1", *(f"/apis/{one['preferredVersion']['groupVersion']}" for one in groups)):
        try:
            kinds = server.ask("GET", base)["resources"]
        except Refused as refused:
            if refused.code != 503:  # a server that stands behind this one, such as KEDA's of metrics, is not there
                raise
            continue
        for kind in kinds:
            if "list" in kind["verbs"] and "/" not in kind["name"] and kind["name"] not in _ITS_OWN:
                yield base, kind["name"], kind["namespaced"]


def _listed(server: ApiServer, base: str, name: str, namespaced: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        items = server.ask("GET", f"{base}/{name}")["items"]
    except Refused as refused:
        if refused.code != 404:  # its definition was deleted meanwhile
            raise
        return
    for one in items:
        metadata = one["metadata"]
        folder = f"/namespaces/{metadata['namespace']}" if namespaced else ""
        yield f"{base}{folder}/{name}/{metadata['name']}", one
