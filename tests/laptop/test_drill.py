"""Drills on a real stack: what users met is what is told, and a target that is too tight is past."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from teal.drill.catalogue import find_drill
from teal.drill.measure import DrillLimits
from teal.drill.run import RULES, DrillRequest, run_drill
from teal.drill.scene import wait_until
from teal.drill.stack import DrillStack, own
from teal.laptop import reap
from teal.laptop.program import find_program
from teal.load import bystander
from tests.services.ports import free_port
from tests.services.required import require

pytestmark = [pytest.mark.integration, pytest.mark.long]
REQUEST = DrillRequest(per_second=30)
EASY = DrillLimits(answered_seconds=60, whole_seconds=90)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DrillStack]:
    require("caddy and redis-server", "make up", bool(find_program("caddy") and find_program("redis-server")))
    made = own(tmp_path_factory.mktemp("drill") / ".teal", free_port(), RULES)
    made.up()
    made.fill()
    yield made
    made.teal("down")
    assert reap.find_leftovers(made.layout) == []


def test_a_drill_tells_what_users_met_and_loses_no_document(stack: DrillStack) -> None:
    found = run_drill(find_drill("caddy"), stack, EASY, REQUEST)
    assert (found.verdict, found.reasons) == ("within", ())
    assert found.failed_requests > 0  # nobody listens for a moment
    assert found.answered_seconds is not None
    assert 0 < found.answered_seconds < 60
    assert found.whole_seconds is not None
    assert (found.lost_documents, found.rpo_seconds) == (0, 0.0)
    assert found.documents > 0
    assert [ran.block for ran in found.blocks] == ["look", "start", "verify"]
    before = [good for at, _, good in found.timeline if found.marks is not None and at < found.marks["fault"] - 0.5]
    assert before
    assert all(before)
    assert stack.healthy()


def test_a_drill_past_its_target_says_so_and_leaves_the_stack_whole(stack: DrillStack) -> None:
    found = run_drill(
        find_drill("key-rotation"), stack, DrillLimits(answered_seconds=0, whole_seconds=0.001, failed_requests=0), REQUEST
    )
    assert found.verdict == "past"
    assert [reason.partition(" after ")[0] for reason in found.reasons] == ["whole again"]
    assert (found.failed_requests, found.answered_seconds) == (0, 0.0)  # neither key ever failed anybody
    assert stack.healthy()


def test_a_page_that_is_missing_fails_the_drill_and_touches_nothing(
    stack: DrillStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("teal.runbook.runbooks_folder", lambda: tmp_path)
    before = stack.processes()
    found = run_drill(find_drill("supervisor"), stack, EASY, REQUEST)
    assert (found.verdict, found.reasons) == ("failed", ("There is no runbook service-absent",))
    assert stack.processes() == before


def test_a_drill_ends_and_mends_what_it_broke_when_a_user_outside_suffers(
    stack: DrillStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        bystander, "ASK_SECONDS", 0.02
    )  # ten questions in the calm before the fault: the drill ends before its first block
    found = run_drill(find_drill("caddy"), stack, EASY, replace(REQUEST, stop_when=bystander.parse_stop_condition("p95 > 0 ms")))
    assert found.verdict == "failed"
    assert found.reasons[0] == "users outside suffered: p95 > 0 ms in their last 10 questions"
    assert found.blocks == ()
    wait_until(stack.healthy, what="the stack to be whole", seconds=30)
