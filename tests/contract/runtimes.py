"""Both runtimes for the contract suite: supervisord on a laptop stack, and Pulumi's real engine on the environment of tests/engine/aws.py."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from teal.aws.runtime import PulumiOperationFailed, PulumiRuntime
from teal.laptop import supervisor
from teal.laptop.runtime import SupervisorRuntime
from teal.ports.runtime import Runtime
from teal.record.model import Color, ColorState
from tests.services.ports import free_port
from tests.services.releasing import ReleaseStack

READY_SECONDS = 60.0


class Subject(Protocol):
    """A runtime whose blue color runs a release, and what a test may look at or do behind its back."""

    runtime: Runtime

    def state(self, release_id: str) -> ColorState:
        """A release that green can be."""
        ...

    def footprint(self, color: Color) -> Any:
        """Everything that runs in the color: equal when nothing was made, changed or ended meanwhile."""
        ...

    def cut_off(self, color: Color) -> None:
        """Leave what an operation leaves that was killed half way. The color runs a release before."""
        ...


@dataclass
class Supervised:
    """Real processes."""

    stack: ReleaseStack

    def __post_init__(self) -> None:
        self.runtime: Runtime = SupervisorRuntime(self.stack.layout)

    def state(self, release_id: str) -> ColorState:
        active: ColorState = self.stack.record().blue
        return active.model_copy(update={"release_id": release_id})

    def footprint(self, color: Color) -> Any:
        return {pid: part for pid, part in self.stack.processes().items() if part.startswith(f"{color}-")}

    def cut_off(self, color: Color) -> None:
        """A deploy that was killed before it started the last process."""
        name = f"{color}-app-1"
        supervisor.stop_part(self.stack.layout, name)
        deadline = time.monotonic() + READY_SECONDS
        while supervisor.processes(self.stack.layout)[name].state != "STOPPED":
            assert time.monotonic() < deadline
            time.sleep(0.05)


@dataclass
class Engined:
    """A stack of Pulumi's, a cloud that stands in, and the cluster's and the load balancer's answers made from it."""

    runtime: Runtime
    cloud: Any

    def state(self, release_id: str) -> ColorState:
        from tests.unit.infra.service_program import IMAGE

        return ColorState(release_id=release_id, image=IMAGE, config={"TEAL_SEARCH": "embedded", "TEAL_EMBEDDING": "none"}, index="teal",
                          schema_min="0001", schema_max="0001", replica_floor=2)  # fmt: skip

    def footprint(self, color: Color) -> Any:
        things = {urn: thing.inputs for (urn, _), thing in self.cloud.things.items() if f"dev-{color}" in urn}
        return things, len(self.cloud.done)  # whatever was done, to either color

    def cut_off(self, color: Color) -> None:
        """`pulumi up` gets SIGKILL while the cloud has not answered what it asked for."""
        events = self.runtime.deploy(color, self.state("cut-off"))
        with self.cloud.lock:
            deadline = time.monotonic() + READY_SECONDS
            while not any("updating" in each for each in self.runtime.pending(color)):
                next(events)
                assert time.monotonic() < deadline
            for child in psutil.Process().children():
                if f"dev-{color}" in child.cmdline():
                    child.kill()
        with pytest.raises(PulumiOperationFailed):
            list(events)


@contextmanager
def supervised(folder: Path) -> Iterator[Subject]:
    stack = ReleaseStack(folder / ".teal", free_port())
    stack.up()
    try:
        yield Supervised(stack)
    finally:
        stack.down()


@contextmanager
def engined(folder: Path) -> Iterator[Subject]:
    """On the pulumi command (tests/engine/command.py)."""
    from teal.aws.target import aws
    from tests.engine import aws as engine

    with pytest.MonkeyPatch.context() as shell, engine.start(folder, shell) as (_, cloud, environ):
        runtime = aws("dev", environ).runtime
        assert isinstance(runtime, PulumiRuntime)
        shell.setattr("teal.aws.pulumi.operation.TELL_SECONDS", 0.5)
        subject = Engined(runtime, cloud)
        runtime.admin(subject.state("first"), "blue", "migrate", "--expand")
        list(runtime.deploy("blue", subject.state("first")))
        yield subject
