"""The commands as people and CI meet them: exit codes, JSON lines, what is asked, what Ctrl-C does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress

import pytest
from rich.console import Console

from teal import cli, errors
from teal.errors import NeedsHuman, OperatorError
from teal.events import Event
from teal.ports.traffic import Weights, all_to
from teal.record.source import ReleaseSource
from teal.release import commands
from teal.release.runner import ReleaseRequest, release
from teal.terminal import progress
from teal.terminal.view import View
from tests.unit.teal.release.ports import RULES, Behaviour, World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World()
    made.begin()
    made.put_image("new")
    monkeypatch.setattr(commands, "open_target", lambda _stack: made.process().target)
    yield made
    for running in made.kept:
        with suppress(OperatorError):
            running.close()  # type: ignore[attr-defined]


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def underway(world: World, step: str) -> None:
    running = release(world.process().target, ReleaseRequest(commands.Path("new")))
    world.kept.append(running)
    while next(running).step != step:
        pass


def test_a_release_prints_json_lines_and_exits_0(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["release", "new", "--json"]) == errors.DONE
    told = lines(capsys)
    assert [line["step"] for line in told][-2:] == ["done", "evidence"]
    assert any(line.get("weights") == {"blue": 95, "green": 5} for line in told)
    world.assert_whole()


def test_a_replay_by_hand_needs_two_colors_and_ends_1_when_the_other_one_is_worse(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["replay", "--json"]) == errors.BAD_INPUT
    assert "one color runs" in capsys.readouterr().out
    world.sampled = 0
    underway(world, "shift-5")
    assert cli.run(["replay"]) == errors.DONE
    assert "of 99 recorded queries none has a text" in capsys.readouterr().out
    world.sampled = 20
    assert cli.run(["replay", "--json"]) == errors.DONE
    assert next(line for line in lines(capsys) if "replay" in line)["replay"]["queries"] == 20  # type: ignore[index]
    world.put_image("new", Behaviour(finds=("e1",)))
    assert cli.run(["replay"]) == errors.FAILED
    assert "other hits: 20 of 20" in "".join(capsys.readouterr())


def test_a_release_with_load_plans_it_before_the_first_shift(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["release", "new", "--load", "smoke", "--dry-run", "--json"]) == errors.DONE
    names = [line["step"] for line in lines(capsys)]
    assert names.index("load") < names.index("shift-5")


def test_a_failed_release_exits_1_and_says_what_and_next(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.put_image("new", Behaviour(errors=0.3))
    assert cli.run(["release", "new", "--json"]) == errors.FAILED
    error = lines(capsys)[-1]["error"]
    assert isinstance(error, dict)
    assert error["code"] == "release-failed"
    assert "was undone" in error["what"]
    world.assert_whole()


def test_exit_codes_tell_bad_input_held_and_needs_a_human_apart(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["release", "--image", "unknown", "--json"]) == errors.BAD_INPUT
    assert cli.run(["release", "--image", "new", "--version", "x", "--json"]) == errors.BAD_INPUT
    assert cli.run(["abort", "--json"]) == errors.BAD_INPUT
    assert cli.run(["resume", "--json"]) == errors.BAD_INPUT
    underway(world, "analyse-5")
    assert cli.run(["release", "new", "--json"]) == errors.HELD
    assert cli.run(["repair", "--json"]) == errors.HELD
    world.seconds += RULES.lease_seconds + 1
    assert cli.run(["release", "new", "--json"]) == errors.NEEDS_HUMAN
    capsys.readouterr()


def test_an_inconclusive_release_exits_4(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.put_image("new", Behaviour(counted=False))
    assert cli.run(["release", "new", "--json"]) == errors.NEEDS_HUMAN
    assert [line["phase"] for line in lines(capsys) if "exit_code" in line] == ["Paused"]
    world.assert_whole()


def test_rollback_is_one_command(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    underway(world, "hold")
    assert cli.run(["rollback", "--json"]) == errors.DONE
    assert lines(capsys)[0]["detail"] == "all requests to blue"
    world.assert_whole()


def test_a_dry_run_prints_each_step_with_its_undo(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    before = world.record
    assert cli.run(["release", "new", "--dry-run", "--json"]) == errors.DONE
    told = lines(capsys)
    assert {"step", "says", "undo"} == set(told[0])
    assert [line["step"] for line in told][:4] == ["preflight", "expand-schema", "raise-floor", "deploy"]
    assert world.record == before


def test_history_lists_releases_and_how_they_ended(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["release", "new", "--json"])
    capsys.readouterr()
    assert cli.run(["history", "--json"]) == errors.DONE
    newest = lines(capsys)[0]
    assert newest["outcome"]["phase"] == "Healthy"  # type: ignore[index]
    assert str(newest["evidence"]).endswith("/index.html")
    assert str(newest["evidence"]).removeprefix("memory:") in world.objects
    assert cli.run(["history"]) == errors.DONE
    said = capsys.readouterr().out.splitlines()  # no terminal: a line for each release, however long
    assert said[0].split("\t")[-2:] == ["Healthy: every step passed", newest["evidence"]]


def test_a_release_says_what_it_is_made_from_and_its_evidence_keeps_it(world: World) -> None:
    told = list(
        release(
            world.process().target,
            ReleaseRequest(commands.Path("new"), source=ReleaseSource(commit="abc123", packages={"a": "1"})),
        )
    )
    assert next(event.detail for event in told if event.step == "source").startswith("abc123")
    kept = json.loads(next(body for key, body in world.objects.items() if key.endswith("release.json")))
    assert kept["source"] == {"commit": "abc123", "dirty": False, "branch": "", "author": ""}
    # The same image again is of the same commit, and its packages are compared with what serves.
    told = list(release(world.process().target, ReleaseRequest(commands.Path(), image="new")))
    assert next(event.detail for event in told if event.step == "source").startswith("abc123")


def test_repair_shows_without_yes_and_mends_with_it(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.weights = Weights(60, 40)
    assert cli.run(["repair", "--json"]) == errors.NEEDS_HUMAN
    assert lines(capsys)[0] == {"found": "blue is active but has 60 % of the requests", "will": "give blue all of them"}
    assert world.weights == Weights(60, 40)
    assert cli.run(["repair", "--json", "--yes"]) == errors.DONE
    assert world.weights == all_to("blue")
    world.assert_whole()
    assert cli.run(["repair"]) == errors.DONE


@pytest.mark.parametrize("step", ["deploy", "analyse-25", "hold"])
def test_ctrl_c_while_an_event_is_shown_undoes_the_release_and_shows_that(world: World, step: str) -> None:
    shown: list[str] = []

    def show(event: Event) -> None:
        first = step not in shown
        shown.append(event.step)
        if event.step == step and first:
            raise KeyboardInterrupt

    with pytest.raises(OperatorError, match="KeyboardInterrupt"):
        progress.drive(release(world.process().target, ReleaseRequest(commands.Path("new"))), show)
    world.assert_whole()
    assert world.load().active == "blue"
    assert shown[-2:] == [step, "evidence"] or "done" in shown


def test_a_second_ctrl_c_is_obeyed_and_says_what_to_run(world: World) -> None:
    def show(_: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(NeedsHuman) as said:
        progress.drive(release(world.process().target, ReleaseRequest(commands.Path("new"))), show)
    assert "teal repair" in said.value.next


def test_the_live_view_shows_steps_shares_and_both_colors(world: World) -> None:
    view, screen = View(), Console(width=120)
    for event in release(world.process().target, ReleaseRequest(commands.Path("new"))):
        view.add(event)
        if event.step == "analyse-25" and event.state == "progress":
            break
    with screen.capture() as captured:
        screen.print(view.render())
    text = captured.get()
    for part in ("analyse-25", "blue  75 %", "green  25 %", "requests", "errors", "ok  deploy"):
        assert part in text, text


def test_a_log_shows_what_repeats_once(capsys: pytest.CaptureFixture[str]) -> None:
    same = [Event("hold", "progress", "Successful", done=n, total=3) for n in range(3)]
    progress.drive(iter([*same, Event("hold", "ok"), *same[:1]]), progress.line_by_line())
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["progress", "hold", "Successful"],
        ["ok", "hold"],
        ["progress", "hold", "Successful"],
    ]


def test_pause_at_is_a_step_after_that_share_s_analysis(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["release", "new", "--pause-at", "25", "--dry-run", "--json"]) == errors.DONE
    names = [line["step"] for line in lines(capsys)]
    assert names[names.index("analyse-25") : names.index("shift-50") + 1] == ["analyse-25", "pause-25", "shift-50"]
    assert cli.run(["release", "new", "--pause-at", "30", "--json"]) == errors.BAD_INPUT
    assert "5, 25, 50 %" in capsys.readouterr().out
