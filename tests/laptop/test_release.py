"""A release and a rollback under people's eyes: nobody's request fails, no stream breaks, nothing accepted is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from teal.drill.findable import documents_not_found
from teal.drill.users import as_json_line
from teal.ports.traffic import all_to
from tests.services.releasing import ReleaseStack, tree
from tests.services.secrets_at_rest import leaks, secrets

pytestmark = [pytest.mark.integration, pytest.mark.release, pytest.mark.timeout(600)]
# Requests, and how many a second: 20,000 in 222 s, as long as both releases and the rollback take on two cores. Fewer beside other tests.
FEW, MANY = (5_000, 30.0), (20_000, 90.0)
RULES = {"analysis_seconds": 6, "minimum_samples": 60, "hold_seconds": 6, "poll_seconds": 1, "jobs_seconds": 30}
LONG = RULES | {"hold_seconds": 120}  # the rollback comes in this one


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[ReleaseStack]:
    yield from ReleaseStack.running(tmp_path, RULES)


@pytest.mark.parametrize(
    ("requests", "per_second"), [pytest.param(*FEW, id="few"), pytest.param(*MANY, id="many", marks=pytest.mark.weekly)]
)
def test_no_request_fails_through_a_release_and_a_rollback(
    stack: ReleaseStack, tmp_path: Path, requests: int, per_second: float
) -> None:
    stack.fill()
    keys = tuple(stack.key() for _ in range(4))
    users = stack.users(keys, per_second=per_second, limit=requests)
    users.start()

    code, events = stack.teal("release", str(tree(tmp_path, text="second")), "--version", "second")
    assert code == 0, events[-5:]
    assert (stack.record().active, stack.weights()) == ("green", all_to("green"))

    stack.rules = LONG
    releaser = stack.start(
        "release", str(tree(tmp_path, text="third")), "--version", "third", "--json", to=tmp_path / "third.jsonl"
    )
    deadline = time.monotonic() + 240  # a release takes 100 s beside this load
    while stack.weights() != all_to("blue"):
        assert releaser.poll() is None, (tmp_path / "third.jsonl").read_text()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    started = time.time()
    assert stack.start("rollback", "--help").wait(60) == 0
    startup = time.time() - started  # of Python and its imports, on this machine as it is loaded now
    commanded = time.time()
    operator = stack.start("rollback", "--json")
    assert operator.stdout is not None
    first = operator.stdout.readline()
    shifted = time.time()
    assert json.loads(first)["step"] == "traffic", first
    rest = operator.communicate(timeout=120)[0]
    assert operator.returncode == 0, rest[-2000:]
    assert releaser.wait(60) == 1
    assert (stack.record().active, stack.weights()) == ("green", all_to("green"))
    last = max(start for start, _, _ in stack.served("blue") if start > commanded - 30)
    took = f"{last - commanded:.2f} s after the command, of which starting Python took {startup:.2f} s"
    print(f"rollback: the last request given to the bad color came {took}")

    users.join(300)
    met = users.stop()
    print(as_json_line(met))
    assert met.sent >= requests
    assert (met.failed, met.broken_streams) == (0, 0), met.failures
    assert met.answered == met.sent
    assert met.streams > requests / 10
    assert documents_not_found(stack.url, keys[0], stack.layout.ca, met.accepted, seconds=90) == {}
    assert last - shifted < 0.2  # nobody is given to the bad color once the command has said so
    assert last - commanded < startup + 1.0
    held = secrets(stack.layout) | {f"key {number}": key for number, key in enumerate(keys)}
    assert list(leaks(stack.home, held)) == []  # in the records and the evidence of two releases neither
