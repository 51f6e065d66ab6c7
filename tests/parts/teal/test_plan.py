"""`teal plan` says everything that is wrong with a plan in one run. tests/engine/test_plan.py runs it with the real Pulumi."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from teal.aws import cost, plan, tools
from teal.aws.pulumi.cli import Preview, StateResource
from teal.errors import BadInput
from tests.unit.teal.aws.test_plan import ROOT


class Planned:
    """A preview that deletes the database and breaks a rule, of a state in which Helm was cut off."""

    def preview(self, stack: str, policies: Path) -> Preview:
        assert policies == ROOT / "infra" / "policy"
        urn = f"urn:pulumi:{stack}::teal::aws:rds/instance:Instance::database"
        steps = [{"op": "delete", "urn": urn, "oldState": {"type": "aws:rds/instance:Instance"}}]
        return Preview({"delete": 1}, ("exposure: database: it has a public address",), json.dumps({"steps": steps}))

    def resources(self, stack: str) -> tuple[StateResource, ...]:
        urn = f"urn:pulumi:{stack}::teal::kubernetes:helm.sh/v3:Release::autoscaling"
        status = {"status": {"status": "pending-upgrade"}}
        return (StateResource(urn, "kubernetes:helm.sh/v3:Release", "keda/keda", protect=False, outputs=status),)


def test_price_rules_and_guard_are_all_told_before_the_plan_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tools, "require_versions", lambda *_: None)
    monkeypatch.setattr(cost, "read_bill", lambda *_: {"unpriced": [], "over_budget": True, "usd": 900.0, "budget_usd": 700})
    pulumi: Any = Planned()
    events = plan.run_checks(ROOT, "dev", pulumi, keep=tmp_path / "plan.json")
    seen = [next(events) for _ in range(5)]
    assert [(event.step, event.state) for event in seen] == [
        ("price", "warn"), ("preview", "ok"), ("helm", "warn"), ("policies", "warn"), ("guard", "warn"),
    ]  # fmt: skip
    assert "database: deleted" in seen[-1].detail
    assert json.loads((tmp_path / "plan.json").read_text())["steps"]
    assert "the release keda/keda is pending-upgrade" in seen[2].detail
    with pytest.raises(plan.PlanRefused, match="refused: price, helm, policies, guard") as raised:
        next(events)
    assert raised.value.exit_code == 1


def test_what_the_guard_cannot_read_is_not_called_safe() -> None:
    with pytest.raises(BadInput, match="could not be checked"):
        plan.refused_by_guard(ROOT, "no plan")


def test_a_part_without_a_price_is_accepted_by_its_own_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "require_versions", lambda *_: None)
    monkeypatch.setattr(cost, "read_bill", lambda *_: {"unpriced": ["rds:db.new"], "over_budget": False})
    pulumi: Any = Planned()
    assert next(plan.run_checks(ROOT, "dev", pulumi)).state == "warn"
    assert next(plan.run_checks(ROOT, "dev", pulumi, plan.AcceptedRisks(unpriced=True))).state == "ok"


def test_an_old_command_is_refused_before_it_says_unknown_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, says in (("pulumi", "v3.99.0"), ("aws", "aws-cli/2.15.0 Python/3.11.6")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match=r"pulumi 3\.99\.0 is too old: 3\.260\.0 is the oldest") as raised:
        tools.require_versions(tools.PULUMI, tools.AWS)
    assert raised.value.next == "install or renew pulumi, then run this again"
    (tmp_path / "pulumi").write_text("#!/bin/sh\necho v3.274.1\n")
    tools.require_versions(tools.PULUMI, tools.AWS)
