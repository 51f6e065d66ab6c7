"""The service's own autoscaler under `teal load`, and a release meanwhile: metrics-server says how much CPU pods use, the controller manager's
autoscaler makes more, the next color begins with as many, the old one keeps its own until it ends, and after the load there are as few as before.

Smaller than on AWS, because both colors' pods find room on two cores: a pod asks for 150m of CPU in the place of 1, an autoscaler aims at 25 % of it in
the place of 60, and makes at most 4 pods. It looks each 3 s in the place of 15. Two waits before pods are removed, of 300 s, are shortened by the test:
the old color's once it has lost its first requests, so that it would shrink within this release if it could; the new one's when the load is over.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from contract.names import DEPLOYMENT, NAMESPACES
from loadtests import questions
from loadtests.measured import END, FIRST_EVENT, SEARCH, LoadTestResult
from teal.record.model import Color, other
from tests.cluster.apiserver import Refused, conditions
from tests.node import metrics
from tests.node.release.place import Place
from tests.node.release.story import active_color, assert_whole, releasing, timed, wait, web_pods
from tests.parts.app.service import add
from tests.services.beside import beside

pytestmark = [pytest.mark.integration, pytest.mark.weekly, pytest.mark.timeout(2_400)]

LEAST: Final = 2
MOST: Final = 4
SETTINGS: Final = {"cpu": "150m", "min_replicas": LEAST, "max_replicas": MOST, "target_cpu_percent": 25}
# Of the shape's 20 a second: 15 a second used 110m of two pods together, which aim at 75m.
SCALE: Final = float(os.environ.get("TEST_NODE_LOAD_SCALE", "1"))
LOAD_SECONDS: Final = float(os.environ.get("TEST_NODE_LOAD_SECONDS", "420"))  # scaling and a release take 240 on a quiet machine
HOLD_SECONDS: Final = 40.0  # of the old color without requests, which the autoscaler sees within 25
SHORT_CALM_SECONDS: Final = 5
_MERGE: Final = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture
def scaled(place: Place, request: pytest.FixtureRequest) -> Iterator[Color]:
    """The active color has an autoscaler with these bounds, and metrics-server says what its pods use."""
    before, released = dict(place.outputs["service_defaults"]), place.record().active
    _write(place, {**before, **SETTINGS})
    request.getfixturevalue("first")
    if released is not None:  # with other bounds
        place.push("a1")
        code, said = place.teal("release", "--image", "a1", "--json")
        assert code == 0, said[-3000:]
    with metrics.serving(place.node):
        yield active_color(place)
    _write(place, before)


@dataclass(frozen=True)
class Look:
    """At one moment. `ready`: web pods by color; `least`: of the colors' autoscalers, by color, where there is one."""

    at: float
    weights: dict[Color, int]
    ready: dict[Color, int]
    least: dict[Color, int]


@dataclass
class Watch:
    """What was there, once a second."""

    place: Place
    looks: list[Look] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        begin = time.monotonic()
        while not self._end.wait(1.0):
            with suppress(Refused, httpx.HTTPError):  # what it looked at is being made or ended
                least = {
                    color: spec["minReplicas"] for color in NAMESPACES if (spec := autoscaler(self.place, color).get("spec"))
                }
                ready = {color: len(ready_pods(self.place, color)) for color in NAMESPACES}
                self.looks.append(Look(round(time.monotonic() - begin, 1), self.place.weights(), ready, least))

    def changes(self) -> list[Look]:
        """Without those that are like the one before."""
        return [
            one
            for one, before in zip(self.looks, [None, *self.looks], strict=False)
            if before is None or _facts(one) != _facts(before)
        ]

    def stop(self) -> None:
        self._end.set()


def test_pods_follow_the_load_through_a_release_and_no_request_is_lost(
    place: Place, scaled: Color, first: str, tmp_path: Path
) -> None:
    old, new = scaled, other(scaled)
    took = dict[str, float]()
    with httpx.Client(base_url=place.alb.url, headers={"Authorization": f"Bearer {first}"}, timeout=30) as client:
        # No search may find nothing, so one document has the words of every question.
        add(client, "Questions", " ".join(one.text for one in questions.load_questions(questions.DEFAULT)))
    wait(lambda: set(metrics.pods_millicores(place.node, NAMESPACES[old])) >= names(place, old), "CPU of each web pod")
    assert (len(web_pods(place, old)), len(place.targets(old))) == (LEAST, LEAST)
    met = len(place.alb.met_by_users())

    place.push("a2")
    with watched(place) as watch, load(place, first, tmp_path) as sent:
        with timed(took, "until there were more pods"):
            wait(lambda: LEAST < grown(place, old) == autoscaler(place, old)["status"]["desiredReplicas"], "more pods under load")
        said = autoscaler(place, old)["status"]
        used = metrics.pods_millicores(place.node, NAMESPACES[old])
        grew = grown(place, old)
        print(f"\n{grew} pods by {said['currentMetrics']}; {used}", flush=True)
        with (
            timed(took, "release"),
            releasing(place, "a2", tmp_path / "a2.jsonl", hold_seconds=HOLD_SECONDS, steps=[25, 100]) as releaser,
        ):
            wait(lambda: place.weights()[new] > 0, "the first requests to the new color", releaser)
            shorten_calm(place, old)
            assert releaser.process.wait(600) == 0, releaser.log.read_text()[-3000:]
        assert sent.poll() is None, "the load ended before the release; TEST_NODE_LOAD_SECONDS is how long it lasts"
        after = grown(place, new)
        assert autoscaler(place, new)["spec"]["minReplicas"] == LEAST
        sent.wait(LOAD_SECONDS)
    print((tmp_path / "load.jsonl").read_text()[-1500:])
    for one in watch.changes():
        print(one, flush=True)
    result = LoadTestResult.model_validate_json((tmp_path / "load" / "result.json").read_bytes())
    print(result.outcome, result.why, {name: count.requests for name, count in result.totals.items()}, result.generator.not_sent)

    (current,) = (each["resource"]["current"] for each in said["currentMetrics"])
    assert current["averageUtilization"] == pytest.approx(metrics.millicores(current["averageValue"]) / 150 * 100, abs=1)
    assert sum(used.values()) > 0, "and it is metrics-server that says so"
    assert grew > LEAST, "and each was a healthy target"
    assert after >= grew, "the new color has as many while the load goes on"
    shifted = [one for one in watch.looks if one.weights[new] > 0]
    assert min(one.ready[new] for one in shifted) >= grew, "no request is given to a color that has fewer"
    kept = [one for one in shifted if old in one.least]
    assert [one for one in kept if one.weights == {old: 0, new: 100}], "nobody looked at the old color without requests"
    assert min(one.ready[old] for one in kept) >= grew, "the old color can take everything back until it ends"
    nothing_was_lost(result)
    assert place.alb.met_by_users()[met:] == []

    shorten_calm(place, new)
    with timed(took, "until there were as few as before"):
        wait(lambda: grown(place, new) == LEAST and len(web_pods(place, new)) == LEAST, "fewer pods without load")
    print(took)
    assert_whole(place, new)


def nothing_was_lost(result: LoadTestResult) -> None:
    """Each request was answered, none with an error, and every stream was read to its end."""
    sent = result.generator.sent
    assert (result.failures, result.exceptions, result.generator.died, result.lost_workers) == ([], [], 0, 0)
    assert result.generator.not_sent == {}
    assert result.generator.answered == sent
    assert sent[SEARCH] > 0
    assert result.totals[END].requests == result.totals[FIRST_EVENT].requests == sent[FIRST_EVENT] > 0


@contextmanager
def load(place: Place, key: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """`teal load` of steady requests, which ends by itself; told to end where the block ends before."""
    arguments = (
        "release",
        "--seconds",
        f"{LOAD_SECONDS:g}",
        "--scale",
        f"{SCALE:g}",
        "--key",
        key,
        "--out",
        str(folder / "load"),
    )
    with place.start("load", *arguments, "--json", to=folder / "load.jsonl") as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def watched(place: Place) -> Iterator[Watch]:
    """Looks at both colors beside the test, until the end of the block."""
    watch = Watch(place)
    with beside(watch, "watch", stop_seconds=30):
        yield watch


def autoscaler(place: Place, color: Color) -> dict[str, Any]:
    """As the API server knows it; empty where there is none."""
    return place.node.server.read(_scaler(color)) or {}


def shorten_calm(place: Place, color: Color) -> None:
    body = {"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": SHORT_CALM_SECONDS}}}}
    place.node.server.ask("PATCH", place.node.server.path(_scaler(color)), body, headers=_MERGE)


def ready_pods(place: Place, color: Color) -> list[dict[str, Any]]:
    return [pod for pod in web_pods(place, color) if "True" in conditions(pod, "Ready")]


def names(place: Place, color: Color) -> set[str]:
    return {pod["metadata"]["name"] for pod in web_pods(place, color)}


def grown(place: Place, color: Color) -> int:
    """Web pods that are ready and healthy targets of the load balancer."""
    healthy = {address for address, state in place.targets(color).items() if state == "healthy"}
    return sum(pod["status"].get("podIP") in healthy for pod in ready_pods(place, color))


def _scaler(color: Color) -> dict[str, Any]:
    metadata = {"name": DEPLOYMENT, "namespace": NAMESPACES[color]}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata}


def _write(place: Place, defaults: dict[str, Any]) -> None:
    """What the next release's color is made with."""
    place.outputs["service_defaults"] = defaults
    (place.folder / "outputs.json").write_text(json.dumps(place.outputs))


def _facts(look: Look) -> tuple[Any, ...]:
    return look.weights, look.ready, look.least
