from __future__ import annotations

import json
from pathlib import Path

import pytest

from teal import cli
from teal.laptop import status


@pytest.fixture(autouse=True)
def _empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAL_HOME", str(tmp_path / ".teal"))
    monkeypatch.delenv("TEAL_KEY", raising=False)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["nonsense"], 2),
        (["up", "--port", "1"], 2),
        (["up", "--search", "solr"], 2),
        (["keys", "create", "--role", "owner"], 2),
        (["ingest", "/there/is/no/such/file"], 2),
        (["logs", "caddy"], 2),
        (["ask", "x"], 1),
        (["keys", "list"], 1),
        (["status"], 1),
        (["down"], 0),
    ],
)
def test_exit_codes_tell_mistakes_from_failures(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) == code
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err


def test_errors_are_one_json_object_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["keys", "list", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["next"]) == ("stack-down", "teal up")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["keys", "nonsense"],
        ["keys", "create", "--role", "owner"],
        ["keys", "create"],
        ["ingest"],
        ["up", "--port", "1"],
    ],
)
def test_usage_errors_are_one_json_object_too(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*arguments, "--json"]) == 2
    said = capsys.readouterr()
    assert said.err == ""
    error = json.loads(said.out)["error"]
    assert error["what"]
    assert error["next"].endswith("--help")


@pytest.mark.parametrize("name", ["Bad Col", "", "-a", "a" * 65, "a\n"])
@pytest.mark.parametrize("command", [["keys", "create", "--role", "reader"], ["ingest", __file__]])
def test_a_collection_nobody_can_have_is_refused_once_before_anything_is_asked(
    command: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*command, "--collection", name, "--json"]) == 2
    assert "--collection" in json.loads(capsys.readouterr().out)["error"]["where"]


def test_a_stack_that_never_ran_is_said_so_with_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["status", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["healthy"] is False
    assert found["rows"][0]["mend"] == "teal up"


def test_an_unexpected_failure_is_one_message_and_its_trace_is_in_a_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(status, "status", broken)
    assert cli.run(["status"]) == 1
    said = capsys.readouterr().err
    assert "a bug" in said
    assert "Traceback" not in said
    assert "Traceback" in (tmp_path / ".teal" / "log" / "teal.log").read_text()
