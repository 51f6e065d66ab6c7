"""Releases of `teal` on real pods, under requests through a stand-in for the load balancer's traffic (place.py). One story, in this order;
each weekly test may also be the only one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
import pytest

from contract.pods import COMPONENT_LABEL
from teal.record.model import other
from tests.engine.workspace import kill
from tests.node.release import story
from tests.node.release.bindings import GATE
from tests.node.release.place import Place
from tests.node.release.story import active_color, assert_whole, releasing, timed, users, wait, web_pods

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_800)]

REINDEX_SECONDS: Final = 1_200.0  # 540 at a load of 30, over 680 at one of 15 beside another node


def test_pods_wait_for_the_load_balancer_and_are_its_targets(place: Place, first: str) -> None:
    active = active_color(place)
    held = web_pods(place, active)
    assert {gate["conditionType"] for pod in held for gate in pod["spec"]["readinessGates"]} == {f"{GATE}/teal"}
    assert place.targets(active) == {pod["status"]["podIP"]: "healthy" for pod in held}
    assert len(held) >= 2


def test_a_release_a_failed_one_and_a_rollback_lose_no_request(place: Place, first: str, tmp_path: Path) -> None:
    took: dict[str, float] = {}
    with users(place, first, story.REQUESTS):
        with timed(took, "release"):
            place.push("v2")
            code, said = place.teal("release", "--image", "v2", "--json")
            assert code == 0, said[-3000:]
            assert_whole(place, "green")
        with timed(took, "failed release"):
            place.push("v3", "golden_questions_fail")
            code, said = place.teal("release", "--image", "v3", "--json")
            assert code == 1, said[-3000:]
            assert "golden" in said
            assert_whole(place, "green")
        with timed(took, "release and its rollback"):
            place.push("v4")
            with releasing(place, "v4", tmp_path / "v4.jsonl", hold_seconds=600.0) as releaser:
                wait(lambda: place.weights() == {"blue": 100, "green": 0}, "all requests to blue", releaser)
                code, said = place.teal("rollback", "--json")
                assert code == 0, said[-3000:]
                assert releaser.process.wait(120) == 1
            assert_whole(place, "green")
    print(took)


@pytest.mark.weekly
def test_a_version_whose_pods_never_get_ready_is_taken_back_by_abort(place: Place, first: str, tmp_path: Path) -> None:
    active, took = active_color(place), dict[str, float]()
    place.push("v5", "never_ready")
    with users(place, first), releasing(place, "v5", tmp_path / "v5.jsonl") as releaser:
        with timed(took, "until pods run and are not ready"):
            wait(lambda: story.run_without_getting_ready(web_pods(place, other(active))), "pods that are not ready", releaser)
        with timed(took, "abort"):
            code, said = place.teal("abort", "--json")
            assert code == 0, said[-3000:]
            assert releaser.process.wait(120) == 1
            assert_whole(place, active)
    print(took)


@pytest.mark.weekly
@pytest.mark.parametrize("tag", [pytest.param("v6", id="alone"), pytest.param("v6-machine", id="with its machine")])
def test_a_releaser_that_is_killed_while_pods_start_is_repaired(place: Place, first: str, tmp_path: Path, tag: str) -> None:
    """Alone its `pulumi` outlives it; with its machine nobody tells Pulumi's state what was made."""
    active, took = active_color(place), dict[str, float]()
    place.push(tag)
    with users(place, first), releasing(place, tag, tmp_path / "log.jsonl", lease_seconds=15.0) as releaser:
        wait(lambda: web_pods(place, other(active)), "pods of the next release", releaser)
        if tag == "v6":
            outlive = psutil.Process(releaser.process.pid).children(recursive=True)
            releaser.process.kill()
            releaser.process.wait(20)
        else:
            outlive = []
            kill(releaser.process)
        with timed(took, "from the kill to the end of the repair"):
            wait(lambda: place.teal("repair", "--yes", "--json")[0] == 0, "the repair, once the lease has ended")
            assert_whole(place, active)
    for one in outlive:  # Pulumi's plugin for Kubernetes does not notice that its engine is gone
        with suppress(psutil.NoSuchProcess):
            one.kill()
    print(took)


@pytest.mark.weekly
def test_a_pod_that_is_ended_and_three_that_are_evicted_in_a_release_lose_no_request(
    place: Place, first: str, tmp_path: Path
) -> None:
    active, took = active_color(place), dict[str, float]()
    idle = other(active)
    place.push("v7")
    with users(place, first), timed(took, "release"):
        with releasing(place, "v7", tmp_path / "v7.jsonl") as releaser:
            wait(lambda: len(place.targets(idle)) >= 2, "targets of the next release", releaser)
            ended, evicted = web_pods(place, active)[:2]
            (worker,) = [pod for pod in place.pods(active) if pod["metadata"]["labels"].get(COMPONENT_LABEL) == "worker"]
            story.end(place, ended)
            for pod in (worker, web_pods(place, idle)[0], evicted):
                story.evict(place, pod)
            code = releaser.process.wait(600)
            assert code == 0, releaser.log.read_text()[-3000:]
        assert_whole(place, idle)
    print(took)


@pytest.mark.weekly
def test_a_release_with_an_index_of_its_own_loses_no_request_and_no_document(place: Place, first: str) -> None:
    active, took = active_color(place), dict[str, float]()
    place.push("v8")
    with users(place, first), timed(took, "release"):
        code, said = place.teal("release", "--image", "v8", "--reindex", "--json", seconds=REINDEX_SECONDS)
        assert code == 0, said[-3000:]
        assert_whole(place, other(active))
    state = place.record().active_state
    assert state is not None
    assert state.index.startswith("teal-r")
    print(took)


@pytest.mark.weekly
def test_an_image_that_no_node_can_pull_is_refused_in_minutes_with_the_reason_and_nothing_has_changed(
    place: Place, first: str
) -> None:
    place.push("v9", on_node=False)
    before, took = place.record(), dict[str, float]()
    with users(place, first), timed(took, "refusal"):
        code, said = place.teal("release", "--image", "v9", "--json")
    assert code == 1, said[-3000:]
    assert "ErrImagePull" in said or "ImagePullBackOff" in said
    assert place.record() == before
    print(took)
