"""What a runtime promises, asked of supervisord with real processes. Pulumi's adapter is asked the same by stand-ins in tests/teal."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil
import pytest

from teal.record import ColorState
from teal.runtime.port import Readiness, Runtime
from teal.runtime.supervisor import SupervisorRuntime
from teal.stack.layout import free_ports
from tests.releasing import ReleaseStack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReleaseStack]:
    made = ReleaseStack(tmp_path_factory.mktemp("runtime") / ".teal", free_ports(1)[0])
    made.up()
    yield made
    made.down()


@pytest.fixture
def runtime(stack: ReleaseStack) -> Runtime:
    return SupervisorRuntime(stack.layout)


@pytest.fixture
def state(stack: ReleaseStack) -> ColorState:
    """The active release once more, under another id."""
    active = stack.record().blue
    assert active is not None
    return active.model_copy(update={"release_id": "again"})  # type: ignore[no-any-return]


def test_a_color_that_runs_nothing_is_zero_of_zero_and_ending_it_again_is_nothing(runtime: Runtime) -> None:
    assert runtime.readiness("green") == Readiness(0, 0)
    assert runtime.replicas("green") == 0
    assert runtime.pending("green") == ()
    assert [event.state for event in runtime.retire("green")] == ["ok"]


def test_deploy_readiness_again_and_retire(stack: ReleaseStack, runtime: Runtime, state: ColorState) -> None:
    for _ in runtime.deploy("green", state):
        pass
    deadline = time.monotonic() + 60
    while not (found := runtime.readiness("green")).complete:
        assert time.monotonic() < deadline, found.reason
        time.sleep(0.2)
    assert (found.ready, found.wanted, runtime.replicas("green")) == (2, 2, 2)
    before = stack.processes()
    nice = {part: psutil.Process(pid).nice() for pid, part in before.items()}
    assert nice["green-worker"] > nice["green-app-0"] == nice["green-app-1"]  # documents give way to requests
    for _ in runtime.deploy("green", state):
        pass
    assert stack.processes() == before
    assert runtime.admin(state, "green", "schema")[0]["revision"] == "0001"
    assert runtime.admin(state, "green", "status")[0]["release"] == "again"

    for _ in runtime.retire("green"):
        pass
    assert runtime.readiness("green") == Readiness(0, 0)
    assert runtime.readiness("blue").complete
    assert set(stack.processes()) < set(before)
