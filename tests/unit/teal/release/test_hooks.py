"""Hooks before and after steps, and what is said of them; what really runs is tested in tests/parts/teal/test_hooks.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from contract.steering import Hook, Notification, Steering
from teal import cli, errors
from teal.errors import BadInput, NeedsHuman
from teal.release import commands, hooks
from teal.release.hooks import HookResult, cleaned
from teal.release.rollback import rollback
from teal.release.runner import ReleaseFailed, ReleaseRequest, release, resume
from tests.unit.teal.release.ports import Killed, World

NEW = ReleaseRequest(Path("new"))
DONE = HookResult(ok=True, late=False, text="")


def steered(*found: Hook) -> Callable[[], Steering]:
    return lambda: Steering(hooks=found)


def hook(name: str = "h", **given: Any) -> Hook:
    return Hook(name=name, run=("true",), **given)


@pytest.fixture
def performed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What hooks were told, in order; each ends well."""
    told: list[dict[str, Any]] = []

    def perform(_hook: Hook, document: dict[str, Any], *_: object) -> HookResult:
        told.append(document)
        return DONE

    monkeypatch.setattr(hooks, "perform", perform)
    return told


def answers(monkeypatch: pytest.MonkeyPatch, said: HookResult) -> None:
    monkeypatch.setattr(hooks, "perform", lambda *_: said)


def test_hooks_run_before_and_after_their_step_and_a_kind_means_each_share(world: World, performed: list[dict[str, Any]]) -> None:
    process = world.process(steering=steered(hook("a", before="deploy"), hook("b", after="shift"), hook("c", before="shift-25")))
    list(release(process.target, NEW))
    world.assert_whole()
    assert [(one["hook"], one["when"], one["step"]) for one in performed] == [
        ("a", "before", "deploy"), ("b", "after", "shift-5"), ("c", "before", "shift-25"), ("b", "after", "shift-25"),
        ("b", "after", "shift-50"), ("b", "after", "shift-100"),
    ]  # fmt: skip
    assert performed[0]["release"] == world.load().history[0]
    assert performed[0]["color"] == "green"


def test_a_hook_that_fails_undoes_the_release_and_its_words_are_the_reason(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, HookResult(ok=False, late=False, text="the budget is used up"))
    with pytest.raises(ReleaseFailed, match="Hook h after shift-25 failed: the budget is used up"):
        list(release(world.process(steering=steered(hook(after="shift-25"))).target, NEW))
    world.assert_whole()
    assert world.load().active == "blue"
    assert max(weights.green for weights in world.shares_seen) == 25


def test_a_late_hook_undoes_the_release_where_that_is_what_late_means(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, HookResult(ok=False, late=True, text=""))
    with pytest.raises(ReleaseFailed, match="Hook h before shift-5 did not end within 30 s"):
        list(release(world.process(steering=steered(hook(before="shift-5"))).target, NEW))
    world.assert_whole()
    assert world.load().active == "blue"
    assert not any(weights.green for weights in world.shares_seen), "before shift-5 nobody met it"


def test_a_late_hook_is_said_and_left_behind_where_that_is_what_late_means(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, HookResult(ok=False, late=True, text="still at it"))
    told = list(release(world.process(steering=steered(hook(before="shift-5", on_timeout="continue"))).target, NEW))
    world.assert_whole()
    assert world.load().active == "green"
    assert [one.detail for one in told if one.state == "warn"] == [
        "hook h did not end within 30 s; the release goes on: still at it"
    ]


def test_a_hook_after_the_old_color_began_to_go_leaves_the_release_for_resume(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, HookResult(ok=False, late=False, text="no"))
    with pytest.raises(NeedsHuman, match="serves everybody, but retire failed") as said:
        list(release(world.process(steering=steered(hook(after="retire"))).target, NEW))
    assert said.value.next == "teal resume"
    answers(monkeypatch, DONE)
    list(resume(world.process().target))
    world.assert_whole()


def test_whoever_resumes_runs_the_hooks_that_the_release_began_with(world: World, performed: list[dict[str, Any]]) -> None:
    process = world.process(steering=steered(hook(after="shift-50")))
    running = release(process.target, NEW)
    world.kept.append(running)
    while next(running).step != "analyse-25":
        pass
    process.dead = True
    with pytest.raises(Killed):
        list(running)
    world.seconds += 1_000
    list(resume(world.process(steering=steered(hook(after="deploy"))).target))  # its file says something else by now
    world.assert_whole()
    assert [one["step"] for one in performed] == ["shift-50"]


def test_the_evidence_and_the_dry_run_show_each_hook(
    world: World, performed: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = hook(before="shift-5", secrets={"TOKEN": "env:HOOK_VALUE"}, on_timeout="continue")
    monkeypatch.setenv("HOOK_VALUE", "geheim-1234")
    monkeypatch.setattr(commands, "open_target", lambda _stack: world.process(steering=steered(shown)).target)
    assert cli.run(["release", "new", "--dry-run"]) == errors.DONE
    says = "run true; after 30 s the release goes on; given: TOKEN"
    assert f"before: hook h: {says}" in capsys.readouterr().out
    assert performed == [], "a dry run runs none"
    assert cli.run(["release", "new", "--json"]) == errors.DONE
    evidence = json.loads(next(body for key, body in world.objects.items() if key.endswith("/release.json")))
    assert evidence["hooks"] == [{"name": "h", "when": "before shift-5", "says": says}]
    page = next(body for key, body in world.objects.items() if key.endswith("/index.html")).decode()
    assert says in page
    assert b"geheim" not in b"".join(world.objects.values())


def test_what_a_hook_wrote_gives_no_orders_and_holds_no_secret() -> None:
    raw = b"\x1b]0;owned\x07key=geheim-1234 ok\r\n\xff\xe2\x80\xae"
    assert cleaned(raw, ["geheim-1234"]) == "\\x1b]0;owned\\x07key=*** ok\\x0d\n\ufffd\\u202e"
    assert len(cleaned(b"x" * 10_000)) == hooks.MOST_CHARACTERS


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Steering(hooks=(hook(before="shfit-5"),)), "no release has a step shfit-5"),
        (Steering(hooks=(hook(before="shift-30"),)), "no release has a step shift-30"),
        (Steering(hooks=(hook(before="deploy", secrets={"T": "env:NOT_SET_ANYWHERE"}),)), "env:NOT_SET_ANYWHERE is empty or not set"),
        (Steering(hooks=(hook(before="deploy", secrets={"T": "file:/nowhere/at/all"}),)), "cannot be read"),
        (Steering(hooks=(Hook(name="h", before="deploy", run=("curl", "-HAuth: geheim-1234")),)), "MY_TOKEN is written out"),
        (Steering(notifications=(Notification(send="pigeon", to="roof"),)), "there is no sender pigeon"),
        (Steering(notifications=(Notification(send="webhook", to="https://hooks.test/T0"),)), "the address of a webhook is a secret"),
        (Steering(notifications=(Notification(send="sns", to="arn:aws:sqs:eu-central-1:123456789012:q"),)), "no ARN of an SNS topic"),
    ],
)  # fmt: skip
def test_a_section_that_cannot_be_obeyed_is_refused_before_anything_happens(
    world: World, given: Steering, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "geheim-1234")
    with pytest.raises(BadInput, match=said) as refused:
        list(release(world.process(steering=lambda: given).target, NEW))
    assert "geheim" not in str(refused.value)
    assert world.calls == [], "nothing was built"


@pytest.mark.parametrize(
    "wrong",
    [{"before": "deploy", "after": "deploy", "run": ("true",)}, {"run": ("true",)}, {"before": "deploy"}, {"before": "deploy", "run": ("true",), "post": "https://a.test"},
     {"before": "deploy", "post": "https://user:word@a.test"}, {"before": "deploy", "run": ("true",), "timeout_seconds": 0}, {"before": "deploy", "run": ("true",), "retries": 3}],  # pragma: allowlist secret
)  # fmt: skip
def test_a_hook_that_means_two_things_or_none_is_no_hook(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Hook(name="h", **wrong)


def test_a_broken_section_keeps_nobody_from_a_rollback(world: World) -> None:
    running = release(world.process().target, NEW)
    world.kept.append(running)
    while next(running).step != "analyse-25":
        pass

    def broken() -> Steering:
        raise BadInput("teal:releases is refused", where="file", next="correct it")

    list(rollback(world.process(steering=broken).target))
    world.assert_whole()
