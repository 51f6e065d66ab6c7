"""Faults of parts that run and take no write: undone whatever happens, and no error of a client ends the whole run of drills."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from teal.drill.catalogue import find_drill
from teal.drill.measure import DrillLimits
from teal.drill.part_faults import flood_stage
from teal.drill.run import DrillRequest, run_drill
from teal.drill.scene import DrillFailed, Scene
from teal.drill.stack import DrillStack
from teal.drill.users import UserResults
from teal.laptop.layout import Layout, create_folders
from teal.laptop.state import LaptopState, Ports, save_state

TARGET = DrillLimits(answered_seconds=1, whole_seconds=1)


@pytest.fixture
def stack(tmp_path: Path) -> SimpleNamespace:
    """A stack as far as a fault asks it: it has a state, and runs nothing."""
    layout = Layout(tmp_path / ".teal")
    create_folders(layout)
    ports = Ports(public=1024, blue=(1, 2), green=(3, 4), redis=5, elasticsearch=6, elasticsearch_transport=7)
    save_state(layout, LaptopState(ports=ports))
    users = SimpleNamespace(start=lambda: None, stop=UserResults, met=UserResults())
    return SimpleNamespace(
        layout=layout, home=layout.home, url="https://localhost:1", port=1, env=dict, pids=lambda part: set(), healthy=lambda: False,
        record=lambda: SimpleNamespace(active="blue"), new_key=lambda name: ("key", "1"), users=lambda *_, **__: users,
    )  # fmt: skip


@pytest.mark.parametrize("error", [httpx.ReadTimeout("read"), httpx.ConnectError("refused")])
def test_a_block_that_elasticsearch_may_have_set_is_lifted_and_the_drill_fails_in_words(
    stack: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, error: httpx.HTTPError
) -> None:
    sent: list[object] = []

    def put(url: str, *, json: dict[str, object], **_: Any) -> httpx.Response:
        sent.append(json["index.blocks.read_only_allow_delete"])
        if len(sent) == 1:
            raise error
        return httpx.Response(200, request=httpx.Request("PUT", url))

    monkeypatch.setattr(httpx, "put", put)
    scene = cast("Scene", SimpleNamespace(stack=stack, strike=lambda: None, variables={}))
    with pytest.raises(DrillFailed, match="Elasticsearch did not do what the drill asked for"), flood_stage(scene):
        raise AssertionError("it was never blocked, so nobody follows a page")
    assert sent == [True, None]


def test_a_stack_that_runs_no_redis_of_its_own_is_no_pass_no_failure_and_no_end_of_the_run(
    stack: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teal.drill.run.CALM_SECONDS", 0.0)
    monkeypatch.setattr("teal.drill.run.every_question_finds_something", lambda *_: True)
    found = run_drill(find_drill("demoted-redis"), cast("DrillStack", stack), TARGET, DrillRequest(per_second=1))
    assert (found.verdict, found.reasons) == ("could not run", ("this stack runs no Redis of its own",))
