"""What the tests of releases on a node do and look at: users, a releaser beside the test, a color that is whole."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from teal.drill.findable import documents_not_found
from teal.drill.users import SimulatedUsers, UserResults, as_json_line
from teal.record.model import Color, other
from tests.node.drain import try_to_evict
from tests.node.release.place import Place

# 20,000 at 100/s are the aim on two quiet cores; pods, cluster and search are on the same two.
REQUESTS = int(os.environ.get("TEST_NODE_RELEASE_REQUESTS", "2000"))
PER_SECOND = float(os.environ.get("TEST_NODE_RELEASE_PER_SECOND", "15"))
RULES: Final[dict[str, Any]] = {
    "analysis_seconds": 6.0, "minimum_samples": 30, "hold_seconds": 5.0, "poll_seconds": 1.0, "jobs_seconds": 60.0,
    "ready_seconds": 120.0,
}  # fmt: skip
WAIT_SECONDS: Final = 300.0


@dataclass(frozen=True)
class Releaser:
    """A release that goes on beside the test, and what it says."""

    process: subprocess.Popen[str]
    log: Path


@contextmanager
def releasing(place: Place, tag: str, log: Path, **rules: Any) -> Iterator[Releaser]:
    """Killed at the end of the block, if it has not ended by then."""
    place.rules = {**RULES, **rules}
    try:
        with place.start("release", "--image", tag, "--json", to=log) as process:
            try:
                yield Releaser(process, log)
            finally:
                process.kill()
    finally:
        place.rules = dict(RULES)


@dataclass(frozen=True)
class Crowd:
    """Users beside the test. `before`: how many requests the load balancer had answered itself when they came."""

    place: Place
    key: str
    users: SimulatedUsers
    before: int

    @property
    def met(self) -> UserResults:
        """Of all requests once they have left."""
        return self.users.met

    @property
    def refused(self) -> list[str]:
        """What the load balancer answered or cut itself since they came, and why."""
        return self.place.alb.met_by_users()[self.before :]

    def lost(self) -> dict[str, str]:
        """Documents that were accepted and are not found."""
        return documents_not_found(self.place.alb.url, self.key, None, self.met.accepted, seconds=90)


@contextmanager
def crowd(place: Place, key: str, per_second: float = PER_SECOND) -> Iterator[Crowd]:
    """Users until the end of the block, by which the last one has its answer. What they met is the test's to judge."""
    made = SimulatedUsers(place.alb.url, (key,), None, per_second=per_second)
    there = Crowd(place, key, made, len(place.alb.met_by_users()))
    made.start()
    try:
        yield there
    finally:
        print(as_json_line(made.stop()))


@contextmanager
def users(place: Place, key: str, requests: int = 0, per_second: float = PER_SECOND) -> Iterator[None]:
    """Users until the end of the block, and longer until so many requests were sent. None of them may fail, and no document be lost."""
    with crowd(place, key, per_second) as there:
        yield
        wait(lambda: there.met.sent >= requests, f"{requests} requests", seconds=requests / per_second + WAIT_SECONDS)
    met = there.met
    assert there.refused == []
    assert (met.failed, met.broken_streams) == (0, 0), met.failures
    assert met.answered == met.sent
    assert there.lost() == {}


def active_color(place: Place) -> Color:
    """The one that users reach; a release goes to the other one."""
    active = place.record().active
    assert active is not None
    return active


def web_pods(place: Place, color: Color) -> list[dict[str, Any]]:
    """No other pod is behind the load balancer, so no other one has its gate."""
    return [pod for pod in place.pods(color) if pod["spec"].get("readinessGates")]


def run_without_getting_ready(pods: list[dict[str, Any]]) -> bool:
    """Whether there are pods, all of whose containers have started and are not ready."""
    states = [each for pod in pods for each in pod["status"].get("containerStatuses", ())]
    return bool(states) and all(each.get("started") and not each["ready"] for each in states)


def end(place: Place, pod: Mapping[str, Any]) -> None:
    """Delete a pod, which has its grace."""
    place.node.server.ask("DELETE", _path(pod))


def evict(place: Place, pod: dict[str, Any]) -> None:
    """As a drain of its node does: again and again until the disruption budget allows it."""
    wait(lambda: try_to_evict(place.node, pod), f"the eviction of {pod['metadata']['name']}")


def _path(pod: Mapping[str, Any]) -> str:
    metadata = pod["metadata"]
    return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"


def assert_whole(place: Place, active: Color) -> None:
    """One color, with everything; nothing of the other, in the cluster and at the load balancer; nobody holds anything."""
    idle, record = other(active), place.record()
    assert (record.active, record.release, record.lease, record.color(idle)) == (active, None, None, None)
    assert place.weights() == {active: 100, idle: 0}
    wait(lambda: set(place.targets(active).values()) == {"healthy"}, f"targets of {active}")
    wait(lambda: not place.targets(idle) and not place.pods(idle), f"the end of {idle}")


def wait(condition: Callable[[], object], what: str, releaser: Releaser | None = None, seconds: float = WAIT_SECONDS) -> None:
    """Fails when the releaser ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        said = f"; the releaser: {releaser.log.read_text()[-3000:]}" if releaser else ""
        assert time.monotonic() < deadline, f"{what}: not as it should be after {seconds:.0f} s{said}"
        assert releaser is None or releaser.process.poll() is None, f"{what}: the releaser has ended{said}"
        time.sleep(0.5)


@contextmanager
def timed(took: dict[str, float], name: str) -> Iterator[None]:
    """Seconds of the block, by name."""
    begin = time.monotonic()
    yield
    took[name] = round(time.monotonic() - begin, 1)
