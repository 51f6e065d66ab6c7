"""Nodes are drained under requests through the load balancer's stand-in: every pod of a color moves to another node and back, and no request is
lost. Two nodes, each with a network of its own; Elasticsearch's pod stays where it is, because its process is one of the tests' stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contract.names import NAMESPACES
from teal.record.model import Color
from tests.cluster.apiserver import conditions
from tests.node import color, drain, second, secrets_driver
from tests.node.node import Node
from tests.node.release.place import Place
from tests.node.release.story import active_color, assert_whole, timed, users, wait, web_pods
from tests.services import app_image

pytestmark = [pytest.mark.integration, pytest.mark.weekly, pytest.mark.timeout(1_800)]


@pytest.fixture
def other_node(place: Place) -> Iterator[Node]:
    """With the images, as a node that has pulled them."""
    with second.join(place.node) as joined, secrets_driver.serving(joined, place.supply.manager):
        print(f"\na second node ready after {joined.ready_seconds:.0f} s", flush=True)
        joined.load(app_image.archive(), color.repository())
        state = place.record().active_state
        assert state is not None
        place.tag(joined, state.image)
        try:
            yield joined
        finally:
            drain.allow(place.node, pods=True)  # for the tests that come after one that failed


def test_a_drained_node_s_pods_move_and_come_back_and_no_request_is_lost(place: Place, first: str, other_node: Node) -> None:
    active, took = active_color(place), dict[str, float]()
    web = len(web_pods(place, active))
    drained = []
    with users(place, first):
        for left, taken in ((place.node, other_node), (other_node, place.node)):
            drain.allow(taken, pods=True)
            with timed(took, f"{left.name} drained"):
                drained.append(drain.drain(left, {NAMESPACES[active]}))
            with timed(took, f"until all were ready on {taken.name}"):
                wait(lambda node=taken: ready_on(node, active) == web + 1, f"{web} web pods and the worker on {taken.name}")
                wait(lambda: list(place.targets(active).values()) == ["healthy"] * web, f"targets on {taken.name}")
        drain.allow(other_node, pods=True)
    assert_whole(place, active)
    print(took, drained)
    for one in drained:
        assert one.evicted == web + 1
        assert one.put_off, "two web pods were let go at once, so the budget did nothing"


def ready_on(node: Node, active: Color) -> int:
    """Pods of the color on the node, web and worker, that stay."""
    there = drain.on(node, {NAMESPACES[active]})
    return sum("True" in conditions(pod, "Ready") and "deletionTimestamp" not in pod["metadata"] for pod in there)
