"""`kill -9` of one web pod's program under users: nobody can answer what it held, nor what reaches it before the load balancer knows, and that is
counted. The other pods answer all the rest, and it comes back by itself."""

from __future__ import annotations

import time
from typing import Any, Final

import pytest

from tests.node import pods
from tests.node.release.place import Place
from tests.node.release.story import active_color, assert_whole, crowd, timed, wait, web_pods

pytestmark = [pytest.mark.integration, pytest.mark.weekly, pytest.mark.timeout(1_800)]

BEFORE_SECONDS: Final = 5.0
AFTER_SECONDS: Final = 10.0
# kubelet sees the end within a second, and the stand-ins of the controller and the load balancer look twice a second; 2.5 s at a load of 30. AWS' load
# balancer takes longer, because some seconds pass between an API call and its effect.
SEEN_SECONDS: Final = 8.0


def test_a_killed_program_costs_what_was_sent_to_it_until_it_was_seen_and_nothing_more(place: Place, first: str) -> None:
    active, took = active_color(place), dict[str, float]()
    held = web_pods(place, active)
    had = restarts(held)
    with crowd(place, first) as there:
        time.sleep(BEFORE_SECONDS)
        at = time.time()
        pods.kill(place.node, held[0])
        with timed(took, "until the pod was a target again"):
            wait(lambda: restarts(web_pods(place, active)) == had + 1, "the container's new start")
            wait(lambda: list(place.targets(active).values()) == ["healthy"] * len(held), "targets")
        time.sleep(AFTER_SECONDS)
    met, refused = there.met, there.refused
    bad, seen = [one for one in met.requests if not one.good], [float(one.split()[0]) - at for one in refused]
    print(
        f"{len(bad)} of {met.sent} failed, from {min(seen, default=0.0):.1f} s to {max(seen, default=0.0):.1f} s after the kill; {took}"
    )
    assert [one.why for one in bad if "502" not in one.why] == []
    assert all(held[0]["status"]["podIP"] in one for one in refused), "another pod failed too"
    assert all(-1 < each < SEEN_SECONDS for each in seen), refused
    assert len(bad) == len(refused)
    assert met.answered == met.sent - len(bad)
    assert there.lost() == {}
    assert_whole(place, active)


def restarts(found: list[dict[str, Any]]) -> int:
    """Of all containers together."""
    return sum(each["restartCount"] for pod in found for each in pod["status"].get("containerStatuses", ()))
