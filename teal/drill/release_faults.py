"""Drills about releases: a wanted one, an unwanted one, and one whose releaser dies. Each undoes at the end what it began."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from teal.drill.scene import DrillFailed, Scene, Whole, wait_until
from teal.drill.stack import another_version
from teal.errors import HELD
from teal.ports.traffic import all_to

READY_SECONDS = 150.0  # for a release to reach the step that a drill waits for: 40 s on two idle cores


@contextmanager
def release_same_code(scene: Scene) -> Iterator[Whole]:
    """No fault: another version of the same code is released."""
    stack = scene.stack
    was = stack.record().active
    _name_version(scene, "drill-release")
    scene.strike()
    yield lambda: (record := stack.record()).release is None and record.active not in (None, was) and stack.healthy()


@contextmanager
def unwanted_release(scene: Scene) -> Iterator[Whole]:
    """A release whose new version gets all requests but must be rolled back."""
    stack = scene.stack
    was = stack.record().active
    if was is None:
        raise DrillFailed("No color is active", where=str(stack.home), next="teal up")
    # The rollback window stays open while the runbook is followed.
    with _releasing(scene, "drill-rollback", {"steps": [100], "hold_seconds": 120}) as releaser:
        wait_until(
            lambda: stack.weights().of(was) == 0, what="the release to have all requests", seconds=READY_SECONDS, alive=releaser
        )
        scene.strike()
        yield lambda: stack.weights() == all_to(was)
        wait_until(lambda: stack.record().release is None, what="the release to be undone", seconds=READY_SECONDS)


@contextmanager
def dead_releaser(scene: Scene) -> Iterator[Whole]:
    """SIGKILL to the releaser while both colors have requests."""
    stack = scene.stack
    was = stack.record().active
    with _releasing(scene, "drill-stuck", {"steps": [25, 100], "lease_seconds": 15}) as releaser:
        wait_until(
            lambda: 0 < stack.weights().blue < 100,
            what="the release to have some requests",
            seconds=READY_SECONDS,
            alive=releaser,
        )
        scene.strike()
        releaser.kill()
        releaser.wait()

        def whole() -> bool:
            record = stack.record()
            if record.release is not None or record.lease is not None or record.active is None:
                return False
            return stack.weights() == all_to(record.active) and stack.healthy()

        try:
            yield whole
        finally:
            if stack.record().release is not None:
                wait_until(lambda: stack.teal("repair", "--yes")[0] != HELD, what="the dead lease to end", seconds=READY_SECONDS)
    if stack.record().active != was:
        raise DrillFailed("The unfinished release was not undone", where=str(stack.home), next="teal history")


def _name_version(scene: Scene, label: str) -> Path:
    version = f"{label}-{int(time.time())}"
    tree = another_version(scene.stack, scene.folder, version)
    scene.variables |= {"TREE": str(tree), "VERSION": version}
    return tree


@contextmanager
def _releasing(scene: Scene, label: str, rules: dict[str, object]) -> Iterator[subprocess.Popen[str]]:
    """Run a releaser that releases another version. At the end it is stopped, and what it may have left is cleaned up."""
    tree = _name_version(scene, label)
    said = json.loads(scene.stack.environ.get("TEAL_RULES") or "{}")
    stack = replace(scene.stack, environ={**scene.stack.environ, "TEAL_RULES": json.dumps(said | rules)})
    releaser = stack.start("release", str(tree), "--version", label, "--json", to=scene.folder / f"{label}.jsonl")
    try:
        yield releaser
    finally:
        if releaser.poll() is None:
            releaser.send_signal(signal.SIGTERM)  # it undoes what it did
            with suppress(subprocess.TimeoutExpired):
                releaser.wait(READY_SECONDS)
            releaser.kill()
            releaser.wait()
