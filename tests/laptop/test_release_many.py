"""Releases and rollbacks, one after another, under 100,000 requests: none fails, and nobody who is signed in is sent back to the
version of before, except by a rollback."""

from __future__ import annotations

import json
import os
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import httpx
import pytest

from contract.color import Color
from contract.http import READY_PATH
from teal.drill.findable import documents_not_found
from teal.drill.users import as_json_line
from teal.ports.traffic import all_to
from teal.record.model import other
from tests.services.releasing import ReleaseStack, tree, wait_until

REQUESTS = int(os.environ.get("TEST_RELEASE_REQUESTS", "100000"))  # fewer only to look at the test itself
PER_SECOND = float(os.environ.get("TEST_RELEASE_PER_SECOND", "80"))  # 21 minutes; both cores have room left beside a release
SIGNED_IN = 30  # sessions; each asks which release answers it every SESSION_SECONDS
SESSION_SECONDS = 3.0
ROLLED_BACK_EVERY = 3  # releases: the third, sixth, … is rolled back while it holds the color of before
RULES = {"analysis_seconds": 6, "minimum_samples": 60, "hold_seconds": 6, "poll_seconds": 1, "jobs_seconds": 30}
LONG = RULES | {"hold_seconds": 120}  # the rollback comes in this one
pytestmark = [
    pytest.mark.integration,
    pytest.mark.release,
    pytest.mark.weekly,
    pytest.mark.timeout(3 * REQUESTS / PER_SECOND + 900),  # a busy machine sends fewer a second
]


@dataclass(frozen=True)
class Seen:
    """The release that answered a signed-in session; `at`: Unix seconds at which the request was sent."""

    session: int
    release: str
    at: float


class SignedIn(threading.Thread):
    """People with the page open: each keeps its session's cookie and connection."""

    def __init__(self, stack: ReleaseStack, key: str) -> None:
        super().__init__(name="signed-in", daemon=True)
        self.seen: list[Seen] = []
        self.failures: list[str] = []
        self._stopped = threading.Event()
        trusted = ssl.create_default_context(cafile=str(stack.layout.ca))
        self._people = [httpx.Client(base_url=stack.url, verify=trusted, trust_env=False) for _ in range(SIGNED_IN)]
        for person in self._people:
            person.post("/v1/session", json={"key": key}, headers={"Origin": stack.url}).raise_for_status()

    def run(self) -> None:
        for turn in count():
            if self._stopped.wait(SESSION_SECONDS / SIGNED_IN):
                return
            session = turn % SIGNED_IN
            at = time.time()
            try:
                answer = self._people[session].get(READY_PATH)
                self.seen.append(Seen(session, str(answer.raise_for_status().json()["release"]), at))
            except httpx.HTTPError as error:
                self.failures.append(f"{type(error).__name__}: {error}")

    def stop(self) -> None:
        self._stopped.set()
        self.join(30)
        for person in self._people:
            person.close()


def sent_back(seen: list[Seen], rollbacks: list[float]) -> list[str]:
    """Each session that met a release again after it had met a later one, unless a rollback began between the two."""
    found = []
    for session in range(SIGNED_IN):
        latest: dict[str, float] = {}  # when this session met a release last
        now = ""
        for one in (one for one in seen if one.session == session):
            if one.release != now and one.release in latest and not any(latest[one.release] < at <= one.at for at in rollbacks):
                found.append(f"session {session}: {now} and then {one.release} again, at {one.at:.1f}")
            now = one.release
            latest[now] = one.at
    return found


def test_only_a_rollback_may_send_a_session_back() -> None:
    met = [Seen(0, "v1", 1.0), Seen(0, "v2", 2.0), Seen(1, "v1", 2.5), Seen(0, "v1", 4.0), Seen(0, "v3", 5.0)]
    assert sent_back(met, rollbacks=[3.0]) == []
    assert sent_back(met, rollbacks=[]) == sent_back(met, rollbacks=[0.5, 4.5]) == ["session 0: v2 and then v1 again, at 4.0"]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[ReleaseStack]:
    yield from ReleaseStack.running(tmp_path, RULES)


def test_a_hundred_thousand_requests_through_releases_and_rollbacks_none_fails_and_nobody_is_sent_back(
    stack: ReleaseStack, tmp_path: Path
) -> None:
    stack.fill()
    keys = tuple(stack.key() for _ in range(4))
    users = stack.users(keys, per_second=PER_SECOND, limit=REQUESTS)
    signed_in = SignedIn(stack, keys[0])
    users.start()
    signed_in.start()

    rollbacks: list[float] = []
    ended: Counter[str] = Counter()
    for number in count(1):
        if not users.is_alive():
            break
        rolled_back = number % ROLLED_BACK_EVERY == 0
        stack.rules = LONG if rolled_back else RULES
        active = stack.record().active
        assert active
        said = tmp_path / f"release-{number}.jsonl"
        arguments = ("release", str(tree(tmp_path, text=f"number {number}")), "--version", f"v{number}", "--json")
        releaser = stack.start(*arguments, to=said)
        if rolled_back:
            wait_until(partial(_all_have, stack, other(active)), 300, said, pause_seconds=0.1)
            time.sleep(10)  # people use the new version for a while
            rollbacks.append(time.time())
            code, events = stack.teal("rollback")
            assert code == 0, events[-5:]
            assert releaser.wait(120) == 1, said.read_text()[-2000:]
            assert stack.weights() == all_to(active)
            ended["rolled back"] += 1
        else:
            assert releaser.wait(300) == 0, said.read_text()[-3000:]
            assert stack.record().active != active
            ended["released"] += 1
        print(time.strftime("%H:%M:%S"), number, dict(ended), f"{users.met.sent} sent, {users.met.failed} failed", flush=True)

    met = users.stop()
    signed_in.stop()
    met_a_change = len({one.session for one in signed_in.seen if one.release != signed_in.seen[0].release})
    print(json.dumps(dict(ended) | {"signed_in_requests": len(signed_in.seen), "sessions_that_met_a_change": met_a_change}))
    print(as_json_line(met))
    assert met.sent >= REQUESTS
    assert (met.failed, met.broken_streams) == (0, 0), met.failures
    assert met.answered == met.sent
    assert signed_in.failures == []
    assert met_a_change == SIGNED_IN
    assert sent_back(signed_in.seen, rollbacks) == []
    assert documents_not_found(stack.url, keys[0], stack.layout.ca, met.accepted, seconds=180) == {}


def _all_have(stack: ReleaseStack, color: Color) -> bool:
    return stack.weights() == all_to(color)
