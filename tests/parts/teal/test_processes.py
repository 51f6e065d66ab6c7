"""Releases by real processes: two at once have one winner; one that is frozen before its call never shifts again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from teal.laptop.traffic import CaddyTraffic
from teal.ports.traffic import all_to, weights_after_shift
from teal.record.model import Record
from teal.release.rollback import rollback
from tests.parts.teal.contender import made
from tests.parts.teal.racer import open_store
from tests.services import aws_server
from tests.unit.teal.release.ports import World

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A store with an active blue, as `spec` for real processes."""
    if request.param == "file":
        spec: dict[str, Any] = {"kind": "file", "folder": str(tmp_path / "store")}
        (tmp_path / "store").mkdir()
        fill(spec)
        yield spec
        return
    with aws_server.start() as server:
        spec = {"kind": "s3", "url": server.url, "bucket": f"t{uuid4().hex}"}
        server.client("s3").create_bucket(
            Bucket=spec["bucket"], CreateBucketConfiguration={"LocationConstraint": aws_server.REGION}
        )
        fill(spec)
        yield spec


def fill(spec: dict[str, Any]) -> None:
    world = World()
    world.begin()
    opened = open_store(spec)
    opened.write(Record.model_validate_json(world.record or b""), expected=opened.read()[1])


class Contender:
    def __init__(self, spec: dict[str, Any]) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "tests.parts.teal.contender", json.dumps(spec)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
        assert self.line() == "ready"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def ended(self) -> dict[str, Any]:
        out, _ = self.process.communicate(timeout=30)
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found


def test_of_two_releases_at_once_one_wins_and_the_other_is_told_who_holds_it(store: dict[str, Any]) -> None:
    both = [Contender({"store": store, "wait": True}) for _ in range(2)]
    for one in both:
        one.go()
    first = [one.line() for one in both if one.process.stdout]
    assert sorted(line == "deployed" for line in first) == [False, True], first
    winner, loser = (both[0], both[1]) if first[0] == "deployed" else (both[1], both[0])
    assert json.loads(next(line for line in first if line != "deployed")) == {"exit": 3, "code": "held"}
    loser.process.communicate(timeout=30)
    winner.go()
    assert winner.ended()["exit"] == 0
    record = open_store(store).read()[0]
    assert (record.active, record.release, record.lease) == ("green", None, None)
    assert len(record.history) == 2


@pytest.mark.parametrize("store", ["file"], indirect=True)
@pytest.mark.parametrize("percent", [5, 50, 100])
def test_kill_9_at_a_shift_leaves_what_one_rollback_makes_whole(store: dict[str, Any], tmp_path: Path, percent: int) -> None:
    """Record and shares are real files here; the prepared, never renamed share of the dead process changes nothing."""
    folder = tmp_path / "traffic"
    folder.mkdir()
    shares = CaddyTraffic(folder, {})
    shares.set(all_to("blue"))
    spec = {"store": store, "traffic": str(folder), "freeze": percent}
    releaser = Contender(spec)
    releaser.go()
    assert [releaser.line(), releaser.line()] == ["deployed", "freezes"]
    os.waitpid(releaser.process.pid, os.WUNTRACED)
    before = {5: all_to("blue"), 50: weights_after_shift("green", 25), 100: weights_after_shift("green", 50)}[percent]
    assert shares.read() == before
    releaser.process.kill()
    releaser.process.communicate(timeout=30)
    held = open_store(store).read()[0]
    assert held.release is not None
    assert held.release.step == f"shift-{percent}"
    world, target = made({**spec, "freeze": None})
    world.running["green"], world.replicas["green"] = world.running["blue"], 3
    list(rollback(target))
    assert shares.read() == all_to("blue")
    record = open_store(store).read()[0]
    assert (record.active, record.release, record.lease, record.green) == ("blue", None, None, None)


def test_a_process_frozen_before_its_call_never_shifts_again(store: dict[str, Any], tmp_path: Path) -> None:
    """SIGSTOP after the check and before the rename; a whole rollback; SIGCONT."""
    folder = tmp_path / "traffic"
    folder.mkdir()
    shares = CaddyTraffic(folder, {})
    shares.set(all_to("blue"))
    spec = {"store": store, "traffic": str(folder), "freeze": 25}
    releaser = Contender(spec)
    releaser.go()
    assert releaser.line() == "deployed"
    assert releaser.line() == "freezes"
    pid, status = os.waitpid(releaser.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert shares.read() == weights_after_shift("green", 5)

    world, target = made({**spec, "freeze": None})
    world.running["green"], world.replicas["green"] = world.running["blue"], 3
    events = list(rollback(target))
    assert events[0].step == "traffic"
    assert shares.read() == all_to("blue")
    before = os.lstat(folder / "current").st_ino

    os.kill(pid, signal.SIGCONT)
    ended = releaser.ended()
    assert (ended["exit"], ended["code"]) == (1, "superseded")
    assert shares.read() == all_to("blue")
    assert os.lstat(folder / "current").st_ino == before, "the link was exchanged after the rollback"
    record = open_store(store).read()[0]
    assert (record.active, record.release, record.lease, record.green) == ("blue", None, None, None)
