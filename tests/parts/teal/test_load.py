"""`teal load` runs the load test as a process of its own, looks at the service meanwhile, and turns what it says into events and exit codes."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from teal import cli
from teal.errors import BadInput, NeedsHuman, OperatorError
from teal.events import Event
from teal.load import run as runs
from teal.load.place import LoadTarget, anywhere
from teal.load.run import Interrupted, LoadFailed, LoadTest, ThresholdBreached

RUNNING = {"step": "running", "done": 2, "total": 5, "users": 3, "questions_per_second": 1.5, "failed": 0, "search_p95_ms": 12.0,
           "first_event_p95_ms": None}  # fmt: skip


def threshold(outcome: str) -> dict[str, Any]:
    return {
        "step": "threshold",
        "says": "search: at most 5 % failed",
        "outcome": outcome,
        "bad": 7,
        "samples": 20,
        "minimum_samples": 59,
        "why": "x",
    }


def ended(outcome: str) -> dict[str, Any]:
    return {"step": "result", "outcome": outcome, "page": "p/index.html", "result": "p/result.json", "summary": {}}


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Event]]:
    """Runs a mock of `loadtests`, in a real process, which says these rows and ends with this code."""

    def run(*rows: dict[str, Any], code: int = 0, source: str = "", place: LoadTarget | None = None) -> list[Event]:
        (tmp_path / "loadtests").mkdir()
        (tmp_path / "loadtests" / "__init__.py").touch()
        (tmp_path / "loadtests" / "__main__.py").write_text(
            f"{source}\nimport sys\nprint({chr(10).join(map(json.dumps, rows))!r})\nsys.exit({code})"
        )
        monkeypatch.chdir(tmp_path)
        return list(
            runs.run_load_test(
                place or LoadTarget("https://h", ("k1", "k2")), LoadTest("smoke", tmp_path / "out", ("--scale", "2"))
            )
        )

    return run


def test_the_end_of_a_climb_and_the_wait_after_it_are_told_and_stand_out_where_they_say_nothing_of_the_service(
    program: Callable[..., list[Event]],
) -> None:
    rows = [{"step": "climb", "detail": "ended at 75", "outcome": outcome} for outcome in ("breached", "void")]
    rows += [{"step": "drain", "detail": "after 3 s", "drained": drained} for drained in (True, False)]
    found = [(one.step, one.state, one.detail) for one in program(*rows, ended("kept"))]
    assert found[:4] == [
        ("climb", "ok", "ended at 75"),
        ("climb", "warn", "ended at 75"),
        ("drain", "ok", "after 3 s"),
        ("drain", "warn", "after 3 s"),
    ]


def test_progress_and_verdicts_are_events(program: Callable[..., list[Event]]) -> None:
    events = program(RUNNING, threshold("kept"), ended("kept"))
    assert [(event.step, event.state) for event in events] == [("running", "progress"), ("threshold", "ok"), ("result", "ok")]
    assert events[0].detail == "3 users, 1.5 questions/s, search p95 12 ms, first event p95 -, 0 failed"
    assert (events[0].done, events[0].total) == (2, 5)
    assert events[2].data["result"] == "p/result.json"


@pytest.mark.parametrize(
    ("outcome", "code", "error", "exit_code"), [("breached", 1, ThresholdBreached, 1), ("too few", 4, NeedsHuman, 4)], ids=["breached", "too few"]
)  # fmt: skip
def test_a_breach_is_exit_1_and_too_few_samples_need_a_human(
    program: Callable[..., list[Event]], outcome: str, code: int, error: type[OperatorError], exit_code: int
) -> None:
    with pytest.raises(error, match="search: at most 5 % failed: 7 of 20") as raised:
        program(threshold(outcome), ended(outcome), code=code)
    assert (raised.value.exit_code, raised.value.where) == (exit_code, "p/index.html")


def test_what_the_program_refuses_is_bad_input_in_its_words(program: Callable[..., list[Event]]) -> None:
    with pytest.raises(BadInput, match="holds nothing"):
        program({"error": {"code": "bad-input", "what": "it holds nothing", "where": "w"}}, code=2)


def test_a_program_that_dies_is_said_with_its_last_words(program: Callable[..., list[Event]]) -> None:
    with pytest.raises(LoadFailed, match=r"ended with 1: .*RuntimeError: the reason"):
        program(source="raise RuntimeError('the reason')")


def test_keys_are_in_the_environment_and_never_in_the_arguments(program: Callable[..., list[Event]], tmp_path: Path) -> None:
    say = "import json, os, sys; open('said', 'w').write(json.dumps([sys.argv[1:], os.environ['LOCUST_LOAD_KEYS']]))"
    program(ended("kept"), source=say)
    arguments, keys = json.loads((tmp_path / "said").read_text())
    assert keys == "k1,k2"
    assert not {"k1", "k2", "k1,k2"} & set(arguments)
    assert arguments[:4] == ["run", "smoke", "--host", "https://h"]
    assert arguments[-2:] == ["--scale", "2"]


def test_the_service_is_looked_at_meanwhile_and_a_failed_look_stops_nothing(
    program: Callable[..., list[Event]], tmp_path: Path
) -> None:
    looks = iter([{"weights": {"blue": 100}}, OperatorError("away", where="", next=""), {"weights": {"blue": 95}}])

    def look() -> dict[str, Any]:
        found = next(looks, {})
        if isinstance(found, OperatorError):
            raise found
        return found

    # The program ends when the third look is written, so nothing here waits longer than it must.
    wait = "import time\nwhile open('out/seen.jsonl').read().count('weights') < 2: time.sleep(0.01)"
    program(ended("kept"), source=wait, place=LoadTarget("https://h", ("k",), look=look, look_seconds=0.02))
    seen = [json.loads(line) for line in (tmp_path / "out" / "seen.jsonl").read_text().splitlines()]
    assert [row["weights"] for row in seen] == [{"blue": 100}, {"blue": 95}]
    assert seen[1]["at"] > seen[0]["at"]


def test_without_locust_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "locust" else known(name))
    assert cli.run(["load", "smoke", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["what"], error["next"]) == ("Load tests need locust", "make .venv/.installed-load")


def test_another_address_needs_a_key() -> None:
    with pytest.raises(BadInput, match="A key"):
        anywhere("https://h", (), None, {})
    assert anywhere("https://h/", (), None, {"TEAL_KEY": "k"}).url == "https://h"
    assert anywhere("https://h", ("a", "b"), None, {"TEAL_KEY": "k"}).keys == ("a", "b")


def test_two_places_at_once_are_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["load", "smoke", "--stack", "dev", "--host", "https://h", "--json"]) == 2
    assert "name two places" in json.loads(capsys.readouterr().out)["error"]["what"]


def test_an_interrupted_run_says_so_and_what_came_out_until_then(program: Callable[..., list[Event]]) -> None:
    with pytest.raises(Interrupted, match="ended before its time; until then: kept") as raised:
        program({**ended("kept"), "interrupted": True}, code=130)
    assert (raised.value.exit_code, raised.value.where) == (130, "p/index.html")


def test_a_program_that_is_ended_before_it_listens_is_interrupted_and_leaves_no_folder(
    program: Callable[..., list[Event]], tmp_path: Path
) -> None:
    with pytest.raises(Interrupted, match="before anything was measured"):
        program(source="import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    assert not (tmp_path / "out").exists()


def test_a_late_generator_needs_a_human_and_is_no_breach(program: Callable[..., list[Event]]) -> None:
    with pytest.raises(NeedsHuman, match=r"The load generator was the limit.*: p99 130 ms"):
        program({**ended("void"), "why": "p99 130 ms"}, code=4)


def test_bad_input_leaves_no_folder_behind(program: Callable[..., list[Event]], tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        program({"error": {"code": "bad-input", "what": "no such shape", "where": "w"}}, code=2)
    assert not (tmp_path / "out").exists()


STUBBORN = """
import json, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open("child", "w").write(str(child.pid))
print(json.dumps(ROW), flush=True)
time.sleep(600)
"""


def test_an_interrupt_stays_one_when_the_program_does_not_end_and_nothing_is_left_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loadtests").mkdir()
    (tmp_path / "loadtests" / "__init__.py").touch()
    (tmp_path / "loadtests" / "__main__.py").write_text(f"ROW = {RUNNING!r}{STUBBORN}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "END_SECONDS", 0.3)
    events = runs.run_load_test(LoadTarget("https://h", ("k",)), LoadTest("smoke", tmp_path / "out"))
    assert next(events).step == "running"
    locust = psutil.Process(int((tmp_path / "child").read_text()))
    with pytest.raises(KeyboardInterrupt):
        events.throw(KeyboardInterrupt)  # type: ignore[attr-defined]  # a generator, as its `yield` says
    gone, alive = psutil.wait_procs([locust], timeout=10)
    assert (len(gone), alive) == (1, [])
