"""Releases of `teal` on real pods, under requests through a stand-in for the load balancer's traffic (place.py). One story, in this order."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from teal.aws.jobs import run_admin_job
from teal.aws.kubernetes import KubernetesClient
from teal.drill.findable import documents_not_found
from teal.drill.users import SimulatedUsers, as_json_line
from teal.record.model import COLORS, Color
from tests.node import color, machine, stores
from tests.node.release import eks
from tests.node.release import place as places
from tests.node.release.bindings import GATE
from tests.node.release.place import Place
from tests.services import app_image

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_800)]
# 20,000 at 100/s are the aim on two quiet cores; pods, cluster and search are on the same two.
REQUESTS = int(os.environ.get("TEST_NODE_RELEASE_REQUESTS", "2000"))
PER_SECOND = float(os.environ.get("TEST_NODE_RELEASE_PER_SECOND", "15"))
RULES: Final[dict[str, Any]] = {
    "analysis_seconds": 6.0, "minimum_samples": 30, "hold_seconds": 5.0, "poll_seconds": 1.0, "jobs_seconds": 60.0,
    "ready_seconds": 120.0, "snapshot_hours": 0.0,  # its repository needs S3's plugin, which this Elasticsearch has not
}  # fmt: skip
WAIT_SECONDS: Final = 300.0
GOLDEN: Final = {"question": "Who writes the weather into a green book?", "words": ["lighthouse"]}
DOCUMENT: Final = {"title": "Lighthouse", "text": "The lighthouse keeper writes the weather into a green book each morning."}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    machine.require_machine()
    stores.require_stores()
    color.definitions()
    archive = app_image.build()
    places.prepare()
    with places.start(tmp_path_factory.mktemp("release"), archive) as made:
        made.rules = dict(RULES)
        yield made
        assert made.controller.failures == []


@pytest.fixture(scope="module")
def first(place: Place) -> str:
    """The first release is blue; an administrator's key."""
    place.push("v1")
    begin = time.monotonic()
    code, said = place.teal("release", "--image", "v1", "--json")
    assert code == 0, said[-3000:]
    print(f"the first release took {time.monotonic() - begin:.0f} s")
    assert_whole(place, "blue")
    key = admin_key(place)
    golden = place.folder / "golden.jsonl"
    golden.write_text(json.dumps(GOLDEN) + "\n")
    place.environ["TEAL_GOLDEN"] = str(golden)
    with httpx.Client(base_url=place.alb.url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        assert client.post("/v1/documents", json=DOCUMENT).status_code == httpx.codes.ACCEPTED
        wait(lambda: client.post("/v1/search", json={"query": "lighthouse"}).json()["hits"], "the document")
    return key


def test_pods_wait_for_the_load_balancer_and_are_its_targets(place: Place, first: str) -> None:
    held = [pod for pod in place.pods("blue") if pod["spec"].get("readinessGates")]
    assert {gate["conditionType"] for pod in held for gate in pod["spec"]["readinessGates"]} == {f"{GATE}/teal"}
    assert place.targets("blue") == {pod["status"]["podIP"]: "healthy" for pod in held}
    assert len(held) >= 2


def test_a_release_a_failed_one_and_a_rollback_lose_no_request(place: Place, first: str, tmp_path: Path) -> None:
    took: dict[str, float] = {}
    with users(place, first, REQUESTS):
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
    place.push("v5", "never_ready")
    with users(place, first), releasing(place, "v5", tmp_path / "v5.jsonl") as releaser:
        wait(lambda: waits_for_pods(place), "pods that are not ready", releaser)
        code, said = place.teal("abort", "--json")
        assert code == 0, said[-3000:]
        assert releaser.process.wait(120) == 1
        assert_whole(place, "green")


@pytest.mark.weekly
def test_a_releaser_that_is_killed_while_pods_start_is_repaired(place: Place, first: str, tmp_path: Path) -> None:
    place.push("v6")
    with users(place, first), releasing(place, "v6", tmp_path / "v6.jsonl", lease_seconds=15.0) as releaser:
        wait(lambda: any(has_gate(pod) for pod in place.pods("blue")), "pods of the next release", releaser)
        releaser.process.kill()
        releaser.process.wait(20)
        wait(lambda: place.teal("repair", "--yes", "--json")[0] == 0, "the repair, once the lease has ended")
        assert_whole(place, "green")


@pytest.mark.weekly
def test_a_pod_that_is_killed_and_one_that_is_evicted_in_a_release_lose_no_request(
    place: Place, first: str, tmp_path: Path
) -> None:
    place.push("v7")
    with users(place, first), releasing(place, "v7", tmp_path / "v7.jsonl") as releaser:
        wait(lambda: len(place.targets("blue")) >= 2, "targets of the next release", releaser)
        leaving = [next(pod for pod in place.pods(color) if has_gate(pod)) for color in COLORS]
        for pod in leaving:
            evict(place, pod)
        code = releaser.process.wait(600)
        assert code == 0, releaser.log.read_text()[-3000:]
        assert_whole(place, "blue")


@pytest.mark.weekly
def test_a_release_with_an_index_of_its_own_loses_no_request_and_no_document(place: Place, first: str) -> None:
    place.push("v8")
    active = place.record().active
    with users(place, first):
        code, said = place.teal("release", "--image", "v8", "--reindex", "--json")
        assert code == 0, said[-3000:]
    assert place.record().active not in (active, None)
    state = place.record().active_state
    assert state is not None
    assert state.index.startswith("teal-r")


@pytest.mark.weekly
def test_an_image_that_no_node_can_pull_is_refused_in_minutes_with_the_reason_and_nothing_has_changed(
    place: Place, first: str
) -> None:
    place.push("v9", on_node=False)
    before = place.record()
    code, said = place.teal("release", "--image", "v9", "--json")
    assert code == 1, said[-3000:]
    assert "ErrImagePull" in said or "ImagePullBackOff" in said
    assert place.record() == before


@dataclass(frozen=True)
class Releaser:
    """A release that goes on beside the test, and what it says."""

    process: subprocess.Popen[str]
    log: Path


@contextmanager
def releasing(place: Place, tag: str, log: Path, **rules: float) -> Iterator[Releaser]:
    place.rules = {**RULES, **rules}
    try:
        with place.start("release", "--image", tag, "--json", to=log) as process:
            try:
                yield Releaser(process, log)
            finally:
                process.kill()
    finally:
        place.rules = dict(RULES)


@contextmanager
def users(place: Place, key: str, requests: int = 0) -> Iterator[None]:
    """Users until the end of the block, and longer until so many requests were sent. None of them may fail, and no document be lost."""
    before = len(place.alb.met_by_users())
    crowd = SimulatedUsers(place.alb.url, (key,), None, per_second=PER_SECOND)
    crowd.start()
    try:
        yield
        wait(lambda: crowd.met.sent >= requests, f"{requests} requests", seconds=requests / PER_SECOND + WAIT_SECONDS)
    finally:
        met = crowd.stop()
        print(as_json_line(met))
    assert place.alb.met_by_users()[before:] == []
    assert (met.failed, met.broken_streams) == (0, 0), met.failures
    assert met.answered == met.sent
    assert documents_not_found(place.alb.url, key, None, met.accepted, seconds=90) == {}


def has_gate(pod: Mapping[str, Any]) -> bool:
    """Whether it is a web pod: no other one is behind the load balancer."""
    return bool(pod["spec"].get("readinessGates"))


def waits_for_pods(place: Place) -> bool:
    """Whether blue's containers run, and are not ready."""
    states = [each for pod in place.pods("blue") if has_gate(pod) for each in pod["status"].get("containerStatuses", ())]
    return bool(states) and all(each.get("started") and not each["ready"] for each in states)


def evict(place: Place, pod: Mapping[str, Any]) -> None:
    """As a drain of its node does, by the disruption budget."""
    metadata = {key: pod["metadata"][key] for key in ("name", "namespace")}
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction"
    place.node.server.ask("POST", path, {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata})


def assert_whole(place: Place, active: Color) -> None:
    """One color, with everything; nothing of the other, in the cluster and at the load balancer; nobody holds anything."""
    other: Color = "green" if active == "blue" else "blue"
    record = place.record()
    assert (record.active, record.release, record.lease, record.color(other)) == (active, None, None, None)
    assert place.weights() == {active: 100, other: 0}
    wait(lambda: set(place.targets(active).values()) == {"healthy"}, f"targets of {active}")
    wait(lambda: not place.targets(other) and not place.pods(other), f"the end of {other}")


def admin_key(place: Place) -> str:
    """Made by a Job of the first release, in blue's namespace."""
    server, state = place.node.server, place.record().blue
    assert state is not None
    trust = ssl.create_default_context(cafile=str(server.ca))
    with httpx.Client(base_url=server.url, verify=trust, headers={"Authorization": f"Bearer {eks.TOKEN}"}, timeout=30) as client:
        made = run_admin_job(
            KubernetesClient(client, "tests"),
            "blue",
            state,
            color.job_settings(),
            ("keys", "create", "--role", "admin", "--name", "node"),
        )
    return str(made[0]["key"])


def wait(condition: Callable[[], object], what: str, releaser: Releaser | None = None, seconds: float = WAIT_SECONDS) -> None:
    """Fails when the releaser ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        said = f"; the releaser: {releaser.log.read_text()[-3000:]}" if releaser else ""
        assert time.monotonic() < deadline, f"{what}: not as it should be after {seconds:.0f} s{said}"
        assert releaser is None or releaser.process.poll() is None, f"{what}: the releaser has ended{said}"
        time.sleep(0.5)


@contextmanager
def timed(took: dict[str, float], name: str) -> Iterator[None]:
    """Seconds of the block, by name."""
    begin = time.monotonic()
    yield
    took[name] = round(time.monotonic() - begin, 1)
