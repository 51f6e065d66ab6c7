"""Upgrades the API server under all that both programs make: `python -m tests.cluster.upgrade PROGRAM [STACK]`

PROGRAM is a kube-apiserver of the next version. The pinned one is started and gets every object of the stack, and ends; PROGRAM is started
on the same etcd. What runbooks/kubernetes-upgrade.md asks of an upgrade is then looked at: no API was used that goes, every object is there
unchanged, and the next `up` takes each without a conflict. No test of CI: the next version is built from its Go module in minutes, by hand.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.cluster import apiserver
from tests.cluster.apiserver import ApiServer, Refused
from tests.cluster.objects import custom_resource_definitions, objects

DEPRECATED: Final = re.compile(r"^apiserver_requested_deprecated_apis\{(.*)\} 1$", re.MULTILINE)  # the runbook greps for it


def upgrade(folder: Path, program: Path, stack: str) -> list[str]:
    """What is wrong after the upgrade, one line each; versions and counts are printed."""
    documents = [*objects("platform", stack), *objects("service", stack)]
    with apiserver.start(folder) as before:
        before.define(custom_resource_definitions())
        kept = {before.path(one): before.apply(one, "before")["metadata"] for one in documents}
        wrong = [f"deprecated on {_version(before)}: {found}" for found in deprecated(before)]
        said = _version(before)
    with apiserver.start(folder, program) as after:
        sys.stdout.write(f"{said} -> {_version(after)}: {len(kept)} objects of {stack}\n")
        for one in documents:
            wrong += _difference(after, one, kept[after.path(one)])
        wrong += [f"deprecated on {_version(after)}: {found}" for found in deprecated(after)]
    return wrong


def deprecated(server: ApiServer) -> list[str]:
    """The APIs that were asked for since the start and that a later version will not have."""
    return DEPRECATED.findall(server.client.get("/metrics").text)


def _version(server: ApiServer) -> str:
    return str(server.ask("GET", "/version")["gitVersion"])


def _difference(server: ApiServer, document: Mapping[str, Any], kept: Mapping[str, Any]) -> list[str]:
    path, found = server.path(document), server.read(document)
    if found is None:
        return [f"{path} is gone"]
    if found["metadata"]["uid"] != kept["uid"]:
        return [f"{path} is another object"]
    try:
        adopted = server.apply(document, "after")
    except Refused as refused:
        return [f"{path}: {refused}"]
    return [] if adopted["metadata"].get("generation") == kept.get("generation") else [f"{path} was changed by the next `up`"]


def main(arguments: Sequence[str]) -> int:
    if not arguments:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    stack = arguments[1] if len(arguments) > 1 else "prod"
    with tempfile.TemporaryDirectory() as folder:
        wrong = upgrade(Path(folder), Path(arguments[0]).resolve(), stack)
    sys.stdout.write("\n".join(wrong) + "\n" if wrong else "nothing was changed, refused or deprecated\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
