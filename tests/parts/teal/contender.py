"""A real process that releases, for races and freezes: real store (and, if asked, Caddy's real markers), all else in memory.

`python -m tests.parts.teal.contender SPEC`. SPEC: {"store": {...}, "traffic": FOLDER|null, "freeze": PERCENT|null}. It says "ready", waits for
a line, releases, says "deployed" when its color is up, and prints one JSON line with its exit code. With `freeze` it stops itself
(SIGSTOP) right before it gives the new color that share: after its check of the generation, before the load balancer knows.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from teal.clock import SystemClock
from teal.errors import OperatorError
from teal.laptop.traffic import CaddyTraffic
from teal.ports.target import Target
from teal.ports.traffic import Weights, weights_after_shift
from teal.release.runner import ReleaseRequest, release
from tests.parts.teal.racer import open_store
from tests.unit.teal.release.ports import RULES, Time, World

FAST = replace(RULES, fence_seconds=0.5, lease_seconds=30)


class Real(Time):
    """The memory's time for what it counts, the machine's for leases."""

    def now(self) -> Any:
        return SystemClock().now()


class Freezing(CaddyTraffic):
    """Stops its process between its check and the effect."""

    def __init__(self, folder: Path, percent: int | None) -> None:
        super().__init__(folder, {})
        self._percent = percent

    def set(self, weights: Weights, *, check: Callable[[], None] | None = None) -> None:
        def checked() -> None:
            if check is not None:
                check()
            if self._percent is not None and weights == weights_after_shift("green", self._percent):
                print("freezes", flush=True)
                os.kill(os.getpid(), signal.SIGSTOP)

        super().set(weights, check=checked)


class Following(Freezing):
    """And tells the memory what users are served from."""

    def __init__(self, folder: Path, percent: int | None, world: World) -> None:
        super().__init__(folder, percent)
        self._world = world

    def set(self, weights: Weights, *, check: Callable[[], None] | None = None) -> None:
        super().set(weights, check=check)
        self._world.weights = weights

    def entry(self, color: Any) -> Any:
        from tests.unit.teal.release.ports import Shares

        return Shares(self._world).entry(color)


def made(spec: dict[str, Any]) -> tuple[World, Target]:
    world = World()
    world.begin()
    world.put_image("new")
    process = world.process()
    target = replace(process.target, store=open_store(spec["store"]), rules=FAST, clock=Real(process))
    if spec.get("traffic"):
        target = replace(target, traffic=Following(Path(spec["traffic"]), spec.get("freeze"), world))
    return world, target


def main(spec: dict[str, Any]) -> None:
    _, target = made(spec)
    print("ready", flush=True)
    sys.stdin.readline()
    code = 0
    said = ""
    try:
        for event in release(target, ReleaseRequest(Path("new"))):
            if event.step == "ready" and event.state == "ok":
                print("deployed", flush=True)
                if spec.get("wait"):
                    sys.stdin.readline()
    except OperatorError as error:
        code, said = error.exit_code, error.code
    print(json.dumps({"exit": code, "code": said}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
