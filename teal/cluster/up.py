"""`teal cluster up`: start a cluster in the background, or join in waiting for the one that starts already."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from teal.cluster import place as places
from teal.cluster.checkout import command, require_checkout
from teal.cluster.place import BEGIN, LOCK_SECONDS, MARK, READY, Place, Story
from teal.errors import BadInput, HeldByAnother, OperatorError
from teal.events import Event

_LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the cluster has: so many `nodes`, and metrics-server or not. Its own process says the same two in its first event."""

    nodes: int = 1
    metrics: bool = False

    def arguments(self) -> tuple[str, ...]:
        return ("--nodes", str(self.nodes), *(["--metrics"] if self.metrics else []))


class NotStarted(OperatorError):
    """The cluster's process ended before its nodes were ready."""

    code = "cluster-failed"


def up(place: Place, wanted: Wanted) -> Iterator[Event]:
    """Yields events until all of it is ready; the last one has `kubeconfig` and `shell`. Where the cluster runs already, only that one's.

    Raises BadInput where it cannot run here, HeldByAnother where a different one runs, NotStarted where it failed.
    """
    checkout = require_checkout()
    held = places.hold(place, LOCK_SECONDS)
    if held is not None:
        launch(place, held, checkout, wanted)
        os.close(held)
    for event in _follow(place):
        if event.step == BEGIN:
            _require_same(place, event, checkout, wanted)
        else:
            yield event


def launch(place: Place, held: int, checkout: Path, wanted: Wanted) -> None:
    """`held` goes to the new process, which is in a session of its own and outlives this one."""
    for process in places.marked(place):  # such as a compiler, when its parent was killed
        process.kill()
    place.log.unlink(missing_ok=True)
    said = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    environ = {**os.environ, MARK: str(place.folder), "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"}
    try:
        # Not waited for: it goes on after this command.
        subprocess.Popen(  # noqa: S603
            command("run", *wanted.arguments()), cwd=checkout, env=environ, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            start_new_session=True, pass_fds=(held,),
        )  # fmt: skip
    finally:
        os.close(said)


def _follow(place: Place) -> Iterator[Event]:
    """Each event once, from the first, until the cluster is ready."""
    seen = 0
    while True:
        running = places.is_running(place)  # asked before the log is read, so that the last words are in it
        story = places.read(place)
        if running and not _is_its_own(story):
            time.sleep(_LOOK_SECONDS)  # an earlier cluster's log, or nothing yet
            continue
        yield from story.events[seen:]
        if running and story.data(READY):
            return
        if not running:
            raise _why(place, story)
        seen = len(story.events)
        time.sleep(_LOOK_SECONDS)


def _is_its_own(story: Story) -> bool:
    begun = story.data(BEGIN)
    return bool(begun) and psutil.pid_exists(begun["pid"])


def _require_same(place: Place, begun: Event, checkout: Path, wanted: Wanted) -> None:
    has = Wanted(begun.data["nodes"], begun.data.get("metrics", False))  # one that an earlier version started does not say it
    if (begun.data["checkout"], has) != (str(checkout), wanted):
        raise HeldByAnother(
            f"Another cluster runs on this machine: nodes {has.nodes}, metrics-server {'yes' if has.metrics else 'no'}, of {begun.data['checkout']}",
            where=str(place.folder),
            next="sudo teal cluster down, then this again",
        )


def _why(place: Place, story: Story) -> OperatorError:
    if story.error:
        kind = BadInput if story.error["code"] == BadInput.code else NotStarted
        return kind(str(story.error["what"]), where=str(place.log), next=str(story.error["next"]))
    last = story.last[-1] if story.last else "it was ended, or killed"
    return NotStarted(f"The cluster ended before it was ready: {last}", where=str(place.log), next="sudo teal cluster up")
