"""Who is told of a release, and that it neither fails nor waits for that; real receivers are in tests/parts/teal/test_notifications.py."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from contract.steering import MOMENTS, Moment, Notification, Steering
from teal.release import announce
from teal.release.canary import Undecided
from teal.release.runner import ReleaseFailed, ReleaseRequest, release
from teal.release.senders.sender import NotificationNotSent, Sender
from tests.unit.teal.release.ports import Behaviour, Process, World

NEW = ReleaseRequest(Path("new"))


class Receiver:
    """Takes what is sent, after so many refusals; waits for `gate` where there is one."""

    def __init__(self, refusals: int = 0, gate: threading.Event | None = None) -> None:
        self.texts: list[str] = []
        self.tries = 0
        self._refusals, self._gate = refusals, gate

    def send(self, _address: str, text: str, _seconds: float) -> None:
        self.tries += 1
        if self._gate is not None:
            self._gate.wait()
        if self.tries <= self._refusals:
            raise NotificationNotSent("it is full")
        self.texts.append(text)


def told(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, about: tuple[Moment, ...] = MOMENTS, seconds: float = 5.0
) -> Process:
    from teal.release import steering

    senders = {"test": Sender("test", lambda _to: "", receiver.send)}
    monkeypatch.setattr(announce, "SENDERS", senders)
    monkeypatch.setattr(steering, "SENDERS", senders)
    found = Steering(notifications=(Notification(send="test", to="x", about=about, timeout_seconds=seconds),))
    return world.process(steering=lambda: found)


def test_a_release_that_goes_well_is_told_at_its_start_and_its_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Receiver()
    list(release(told(world, receiver, monkeypatch).target, NEW))
    begins, over = sorted(receiver.texts)
    id = world.load().history[0]
    assert begins.startswith(f"teal memory: {id} (v-new) begins: to green, in place of blue, by ")
    assert over.startswith(
        f"teal memory: {id} (v-new) is over, Healthy: green is active: every step passed. memory:evidence/{id}/"
    )


def test_a_pause_and_an_undoing_are_told_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put_image("new", Behaviour(counted=False))
    receiver = Receiver()
    with pytest.raises(Undecided):
        list(release(told(world, receiver, monkeypatch).target, NEW))
    said = " | ".join(receiver.texts)
    assert len(receiver.texts) == 4
    assert "is paused at analyse-5: paused, inconclusive" in said
    assert "is being undone: Nobody decided within 60 s" in said
    assert "is over, Degraded: blue is active" in said


def test_only_what_somebody_wants_to_hear_of_is_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put_image("new", Behaviour(errors=0.5))
    receiver = Receiver()
    with pytest.raises(ReleaseFailed):
        list(release(told(world, receiver, monkeypatch, about=("undo",)).target, NEW))
    assert [text.split(") ")[1][:17] for text in receiver.texts] == ["is being undone: "]


def test_a_message_that_failed_is_sent_once_more_and_then_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    once = Receiver(refusals=1)
    list(release(told(world, once, monkeypatch, about=("done",)).target, NEW))
    assert (once.tries, len(once.texts)) == (2, 1)
    never = Receiver(refusals=99)
    world.put_image("next")
    events = list(release(told(world, never, monkeypatch, about=("done",)).target, ReleaseRequest(Path(), image="next")))
    world.assert_whole()
    assert (never.tries, never.texts) == (2, [])
    assert [event.detail for event in events if event.step == "notification"] == ["test: it is full"]


def test_a_receiver_that_hangs_costs_its_time_limit_at_the_end_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    try:
        events = list(release(told(world, Receiver(gate=gate), monkeypatch, seconds=0.2).target, NEW))
    finally:
        gate.set()
    world.assert_whole()
    assert world.load().active == "green"
    assert {event.detail for event in events if event.step == "notification"} == {"test: it was not sent within 0.2 s"}
    page = next(body for key, body in world.objects.items() if key.endswith("/index.html")).decode()
    assert "it was not sent within 0.2 s" in page


def test_what_a_server_answered_reaches_people_without_orders_for_their_terminal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver()
    process = told(world, receiver, monkeypatch, about=("start",))
    monkeypatch.setenv("TEAL_WHO", "ann\x1b[2J")
    list(release(process.target, NEW))
    assert "\x1b" not in receiver.texts[0]
