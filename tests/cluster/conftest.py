"""Tests on a real Kubernetes API server: `make test-cluster`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from infra.delivery.registry import GROUPS
from tests.cluster import apiserver
from tests.cluster.apiserver import ApiServer, Refused, Who
from tests.cluster.objects import custom_resource_definitions, objects

STACK: Final = "prod"
EVERYBODY: Final = "system:authenticated"
PREVIEW: Final = Who("arn:aws:sts::123456789012:assumed-role/teal-prod-preview/pull-request", (GROUPS["preview"], EVERYBODY))
RELEASE: Final = Who("arn:aws:sts::123456789012:assumed-role/teal-prod-release/release", (GROUPS["release"], EVERYBODY))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/cluster" in str(item.path):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with apiserver.start(tmp_path_factory.mktemp("attacked")) as started:
        started.define(custom_resource_definitions())
        for document in [*objects("platform", STACK), *objects("service", STACK)]:
            started.apply(document, "administrator")
        wait_for_policies(started)
        yield started


def wait_for_policies(server: ApiServer) -> None:
    """The server takes a moment to enforce a new admission policy; nothing that it must refuse counts before."""
    probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": "kube-system"}}

    def enforced() -> bool:
        try:
            server.create(probe, PREVIEW)
        except Refused as refused:
            return "may try changes" in str(refused)
        server.ask("DELETE", server.path(probe))
        return False

    server.wait(enforced, "the admission policy on previews")
