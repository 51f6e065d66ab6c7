"""Whatever an `up` made whose state was lost, the next `up` takes over: a second field manager applies the same object without a conflict.

A conflict comes where the server adds a default inside something that server-side apply takes as a whole: the first manager then owns a
value that differs from the one the second sends. So each default inside such a value must be written by the program.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import apiserver
from tests.cluster.apiserver import ApiServer, Refused
from tests.cluster.objects import custom_resource_definitions, objects
from tests.unit.infra.conftest import STACKS, Stack


@pytest.fixture(scope="module", params=STACKS)
def stack(request: pytest.FixtureRequest) -> Stack:
    chosen: Stack = request.param
    return chosen


@pytest.fixture(scope="module")
def server(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """With nothing in it for each stack: objects of two stacks have the same names."""
    with apiserver.start(tmp_path_factory.mktemp(stack)) as started:
        started.define(custom_resource_definitions())
        yield started


def test_every_object_of_both_programs_is_adopted_after_a_lost_state(server: ApiServer, stack: Stack) -> None:
    documents = [*objects("platform", stack), *objects("service", stack)]
    assert len(documents) > 40
    kept = {server.path(one): server.apply(one, "lost") for one in documents}
    conflicts: dict[str, str] = {}
    for one in documents:
        path = server.path(one)
        try:
            adopted = server.apply(one, "found")
        except Refused as refused:
            conflicts[path] = str(refused)
            continue
        assert adopted["metadata"]["uid"] == kept[path]["metadata"]["uid"]
        assert adopted["metadata"].get("generation") == kept[path]["metadata"].get("generation"), path  # nothing was changed
    assert conflicts == {}
