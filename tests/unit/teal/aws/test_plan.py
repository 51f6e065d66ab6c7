"""`teal plan` says everything that is wrong with a plan in one run. tests/engine/test_plan.py runs it with the real Pulumi."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from teal import cli
from teal.aws import tools
from teal.aws.runtime import PulumiRuntime, ServiceProgram
from teal.errors import BAD_INPUT, BadInput

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("absent", [tools.PULUMI, tools.AWS])
def test_a_missing_command_is_named_with_what_it_is_for(absent: tools.Tool, tmp_path: Path) -> None:
    for tool in (tools.PULUMI, tools.AWS):
        if tool != absent:
            (tmp_path / tool.command).write_text("#!/bin/sh\n")
            (tmp_path / tool.command).chmod(0o755)
    with pytest.raises(BadInput, match=f"The command {absent.command} is not here: {absent.needed_for}") as raised:
        tools.require(tools.PULUMI, tools.AWS, environ={"PATH": str(tmp_path)})
    assert raised.value.next == f"install {absent.command}, then run this again"


def test_a_release_learns_in_its_preflight_that_a_command_is_missing(tmp_path: Path) -> None:
    service = ServiceProgram(tmp_path, tmp_path, tmp_path, env={"PATH": str(tmp_path)}, tools=(tools.AWS,))
    runtime = PulumiRuntime("dev", service, "{}", None, None, {}, {})  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="The command aws is not here"):
        runtime.pending("blue")  # what the preflight asks first


def test_bootstrap_names_a_missing_command_before_it_asks_aws_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("teal.aws.session.open_aws", lambda _region: pytest.fail("it asked AWS"))
    assert cli.run(["bootstrap", "dev", "--json", "--project", str(ROOT)]) == BAD_INPUT
    said = json.loads(capsys.readouterr().out)["error"]
    assert said["next"] == "install pulumi and aws, then run this again"
