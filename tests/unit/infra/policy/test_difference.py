"""What a pull request would do, told without a cloud: each kind of change is named, and what may not happen is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from infra.policy import difference
from infra.policy.difference import ResourceData, broken_rules, changes_between, losses_of_change
from tests.unit.infra.conftest import evaluate


@pytest.fixture
def old() -> list[dict[str, Any]]:
    held = [difference.as_data(one) for one in evaluate("platform", "dev").resources]
    found: list[dict[str, Any]] = json.loads(json.dumps(held, default=str))
    return found


def named(held: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(one for one in held if one["type"] == kind)


def test_the_same_program_changes_nothing_and_keeps_every_rule(old: list[dict[str, Any]]) -> None:
    assert changes_between(old, copy.deepcopy(old)) == []
    assert broken_rules("dev", old) == []


def test_what_is_made_changed_and_taken_away_is_named_without_its_values(old: list[dict[str, Any]]) -> None:
    new = copy.deepcopy(old)
    topic = named(new, "aws:sns/topic:Topic")
    new.remove(topic)
    named(new, "aws:eks/cluster:Cluster")["inputs"]["version"] = "9.99"
    new.append({**copy.deepcopy(topic), "urn": f"{topic['urn']}-2", "name": f"{topic['name']}-2"})
    lines = [one.line for one in changes_between(old, new)]
    assert [line.split()[:2] for line in lines] == [
        ["create", "aws:sns/topic:Topic"], ["update", "aws:eks/cluster:Cluster"], ["delete", "aws:sns/topic:Topic"],
    ]  # fmt: skip
    assert lines[1].endswith("(version)")
    assert "9.99" not in "".join(lines)


def test_an_output_that_turns_secret_is_named() -> None:
    plain = evaluate("platform", "dev")
    old = [difference.as_data(one) for one in plain.resources] + [difference.outputs_as_data("dev", plain)]
    new = copy.deepcopy(old)
    new[-1]["secret_outputs"].append("rule_arn")
    assert [one.line for one in changes_between(old, new)] == ["update pulumi:pulumi:Stack outputs (secret outputs)"]
    listed = next(one for one in new if one["secret_outputs"])
    listed["secret_outputs"].pop()
    assert "secret outputs" in {change for one in changes_between(old, new) for change in one.changed}


@pytest.mark.parametrize("how", ["deleted", "unprotected"])
def test_what_cannot_be_made_again_is_not_taken_away(old: list[dict[str, Any]], how: str) -> None:
    new = copy.deepcopy(old)
    database = named(new, "aws:rds/instance:Instance")
    if how == "deleted":
        new.remove(database)
    else:
        database["protect"] = False
    (refused,) = losses_of_change(changes_between(old, new), old, new)
    assert (refused.urn, refused.what) == (database["urn"], how)


def test_a_change_that_breaks_a_rule_is_refused(
    old: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new = copy.deepcopy(old)
    named(new, "aws:rds/instance:Instance")["inputs"]["publiclyAccessible"] = True
    asked = list[Path]()

    def before(folder: Path, _stack: str) -> list[ResourceData]:
        asked.append(folder)
        return [*old]

    monkeypatch.setattr(difference, "resources_before", before)
    monkeypatch.setattr(difference, "current_resources", lambda _: new)
    assert difference.main(["dev", "--before", "base"]) == 1
    said = capsys.readouterr().out
    assert "update aws:rds/instance:Instance" in said
    assert "refused: exposure: database: the database has a public address" in said
    assert asked == [Path("base")]
    monkeypatch.setattr(difference, "current_resources", lambda _: copy.deepcopy(old))
    assert difference.main(["dev", "--before", "base"]) == 0
    assert capsys.readouterr().out == "nothing changes\n"
