"""What both runtimes promise, asked of supervisord with real processes and of Pulumi's real engine. Where they differ:

| | supervisor (laptop) | pulumi (AWS) |
|---|---|---|
| processes | two of each color, however many are wanted; it says so | at least the floor |
| an admin command | a process of the version | a Job from the color's image; in these tests a process too |
| what an interrupted operation leaves | some processes run, some do not | a lock that nobody holds, operations whose end nobody knows |
| what a mend does | starts what has its file | cancels, looks for what was being made; the next `deploy` makes what is missing |
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from teal.errors import AdminFailed
from teal.ports.runtime import Readiness
from teal.record.model import Color
from tests.contract.runtimes import READY_SECONDS, Subject, engined, supervised

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(
    scope="module",
    params=[pytest.param(supervised, marks=pytest.mark.integration), pytest.param(engined, marks=pytest.mark.engine)],
    ids=["supervisor", "pulumi"],
)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    with request.param(tmp_path_factory.mktemp("runtime")) as made:
        yield made


@pytest.fixture
def subject(place: Subject) -> Iterator[Subject]:
    """Blue runs, green does not."""
    yield place
    for _ in place.runtime.retire("green"):
        pass


def deploy(subject: Subject, release_id: str) -> None:
    """Green is that release, and ready."""
    for _ in subject.runtime.deploy("green", subject.state(release_id)):
        pass
    wait(subject, "green")


def wait(subject: Subject, color: Color) -> Readiness:
    deadline = time.monotonic() + READY_SECONDS
    while not (found := subject.runtime.readiness(color)).complete:
        assert time.monotonic() < deadline, found.reason
        time.sleep(0.2)
    return found


def test_a_color_that_runs_nothing_is_zero_of_zero_and_ending_it_again_is_nothing(subject: Subject) -> None:
    runtime = subject.runtime
    assert runtime.readiness("green") == Readiness(0, 0)
    assert not runtime.readiness("green").complete
    assert (runtime.replicas("green"), runtime.pending("green")) == (0, ())
    before = subject.footprint("blue")
    assert {event.state for event in runtime.retire("green")} <= {"start", "ok"}
    for _ in runtime.mend("green"):
        pass
    assert runtime.readiness("green") == Readiness(0, 0)
    assert subject.footprint("blue") == before


def test_deploying_twice_is_deploying_once(subject: Subject) -> None:
    runtime = subject.runtime
    deploy(subject, "again")
    found = runtime.readiness("green")
    assert (found.ready, found.wanted) == (found.wanted, runtime.replicas("green"))
    assert found.wanted >= 2
    before = subject.footprint("green")
    for _ in runtime.deploy("green", subject.state("again")):
        pass
    assert subject.footprint("green") == before
    assert runtime.pending("green") == ()
    assert runtime.readiness("blue").complete


def test_an_ended_color_is_gone_and_the_other_one_is_whole(subject: Subject) -> None:
    deploy(subject, "ends")
    for _ in range(2):
        for _ in subject.runtime.retire("green"):
            pass
        assert subject.runtime.readiness("green") == Readiness(0, 0)
        assert (subject.runtime.replicas("green"), subject.runtime.pending("green")) == (0, ())
    assert subject.runtime.readiness("blue").complete


def test_an_admin_command_speaks_json_lines_from_the_release_s_own_configuration(subject: Subject) -> None:
    """Before the color is deployed: migrations come first."""
    state = subject.state("asks")
    (schema,) = subject.runtime.admin(state, "green", "schema")
    assert schema["revision"] == schema["head"]
    assert subject.runtime.admin(state, "green", "status")[0]["release"] == "asks"
    assert subject.runtime.admin(state, "green", "jobs", "left", "--release", "nobody") == [{"left": 0}]


def test_an_admin_command_that_fails_says_what_in_the_service_s_own_words(subject: Subject) -> None:
    with pytest.raises(AdminFailed) as caught:
        subject.runtime.admin(subject.state("asks"), "green", "keys", "revoke", "nobody")
    assert (caught.value.code, caught.value.exit_code) == ("not-found", 2)
    assert "nobody" in caught.value.what
    assert caught.value.next


def test_what_an_interrupted_operation_left_is_named_and_mended(subject: Subject) -> None:
    runtime = subject.runtime
    deploy(subject, "before")
    subject.cut_off("green")
    left = runtime.pending("green")
    assert left
    assert runtime.pending("green") == left, "looking changes nothing"
    for _ in runtime.mend("green"):
        pass
    assert runtime.pending("green") == ()
    deploy(subject, "after")
    assert runtime.pending("blue") == ()
    assert runtime.readiness("blue").complete
