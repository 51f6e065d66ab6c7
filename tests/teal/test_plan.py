"""`teal plan` says everything that is wrong with a plan in one run. tests/engine/test_plan.py runs it with the real Pulumi."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from teal import cli
from teal.aws import cost, plan, tools
from teal.aws.pulumi_cli import Preview
from teal.errors import BAD_INPUT, BadInput
from teal.runtime.pulumi import PulumiRuntime, ServiceProgram

ROOT = Path(__file__).parents[2]


class Planned:
    """A preview that deletes the database and breaks a rule."""

    def preview(self, stack: str, policies: Path) -> Preview:
        assert policies == ROOT / "infra" / "policy"
        urn = f"urn:pulumi:{stack}::teal::aws:rds/instance:Instance::database"
        steps = [{"op": "delete", "urn": urn, "oldState": {"type": "aws:rds/instance:Instance"}}]
        return Preview({"delete": 1}, ("exposure: database: it has a public address",), json.dumps({"steps": steps}))


def test_price_rules_and_guard_are_all_told_before_the_plan_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tools, "require", lambda *_: None)
    monkeypatch.setattr(cost, "bill", lambda *_: {"over_budget": True, "usd": 900.0, "budget_usd": 700})
    pulumi: Any = Planned()
    events = plan.run(ROOT, "dev", pulumi, keep=tmp_path / "plan.json")
    seen = [next(events) for _ in range(4)]
    assert [(event.step, event.state) for event in seen] == [
        ("price", "warn"), ("preview", "ok"), ("policies", "warn"), ("guard", "warn"),
    ]  # fmt: skip
    assert "database: deleted" in seen[-1].detail
    assert json.loads((tmp_path / "plan.json").read_text())["steps"]
    with pytest.raises(plan.PlanRefused, match="refused: price, policies, guard") as raised:
        next(events)
    assert raised.value.exit_code == 1


@pytest.mark.parametrize("absent", [tools.PULUMI, tools.AWS])
def test_a_missing_command_is_named_with_what_it_is_for(absent: tools.Tool, tmp_path: Path) -> None:
    for tool in (tools.PULUMI, tools.AWS):
        if tool != absent:
            (tmp_path / tool.command).write_text("#!/bin/sh\n")
            (tmp_path / tool.command).chmod(0o755)
    with pytest.raises(BadInput, match=f"The command {absent.command} is not here: {absent.needed_for}") as raised:
        tools.require(tools.PULUMI, tools.AWS, environ={"PATH": str(tmp_path)})
    assert raised.value.next == f"install {absent.command}, then run this again"


def test_what_the_guard_cannot_read_is_not_called_safe() -> None:
    with pytest.raises(BadInput, match="could not be checked"):
        plan.guard(ROOT, "no plan")


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
