"""The platform's load test as pods (infra/platform/cluster/load_test.py): Locust's master with its page, workers and the mock model, of the
image that loadtests/Dockerfile makes, and what a load tester does with the page.

Changed, and nothing else: smaller requests of CPU, so that these pods find room beside the service's on two cores.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from infra.evaluation import evaluate as evaluation
from infra.evaluation.evaluate import Evaluation
from infra.platform.cluster.load_test import KEYS, MASTER, MOCK_MODEL, NAMESPACE, PAGE, VARIABLE, WORKER
from loadtests.measured import LoadTestResult
from tests.cluster.objects import APART, as_sent
from tests.node import color, machine, pods
from tests.node.node import Node, await_true

WORKERS: Final = 2
MODEL: Final = "mock,first=200ms,rate=50,tokens=60"  # 1.4 s an answer: some are open whenever a run is told to end
START_SECONDS: Final = 300.0  # of all four pods
REPORT_SECONDS: Final = 120.0  # Locust's users may finish for 15 s, workers report, and the plots are drawn
_CPU: Final = "100m"


def platform(digest: str) -> Evaluation:
    """The platform of the stack with a load test of this image."""
    wanted = {"workers": WORKERS, "image": f"{color.repository()}@{digest}", "mock_model": MODEL}
    return evaluation.platform(color.STACK, {**evaluation.stack_values(color.STACK), "teal:load": wanted})


def model_settings(found: Evaluation) -> dict[str, str]:
    """The settings by which a color's pods take their answers from the mock model."""
    names = ("TEAL_GENERATION", "TEAL_OPENAI_BASE_URL", "TEAL_GENERATION_MODEL")
    return {name: found.outputs["app_environment"][name] for name in names}


def objects(found: Evaluation) -> list[dict[str, Any]]:
    """All of the load test's namespace, and the color's network policies, which let its pods out to the mock model."""
    made = [as_sent(dict(one.inputs)) for one in found.resources if one.type.startswith("kubernetes:") and one.type not in APART]
    theirs = [one for one in made if NAMESPACE in (one["metadata"].get("namespace"), one["metadata"]["name"])]
    opened = [one for one in made if one["kind"] == "NetworkPolicy" and one["metadata"]["namespace"] == color.NAMESPACE]
    for one in theirs:
        if one["kind"] == "Deployment":
            (container,) = one["spec"]["template"]["spec"]["containers"]
            container["resources"]["requests"]["cpu"] = _CPU
    return [*opened, *theirs]


@dataclass
class LoadTestPods:
    """`start_seconds`: from the first object to the page's word that every worker is there."""

    node: Node
    start_seconds: float = 0.0

    @contextmanager
    def page(self) -> Iterator[httpx.Client]:
        """Locust's page as `kubectl port-forward` reaches it: on loopback, in the network of the master's pod."""
        with machine.network(pods.network(self.node, self.master())), httpx.Client(
            base_url=f"http://127.0.0.1:{PAGE}", timeout=REPORT_SECONDS, trust_env=False
        ) as client:  # fmt: skip
            yield client

    def master(self) -> dict[str, Any]:
        """The pod of Locust's master."""
        (pod,) = self.node.pods(NAMESPACE, **{"app.kubernetes.io/name": MASTER})
        return pod

    def restarts(self) -> dict[str, int]:
        """How often each container was started again."""
        found = self.node.server.ask("GET", f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
        return {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in found}


def start(node: Node, found: Evaluation, key: str) -> LoadTestPods:
    """Make the objects and the Secret that an operator makes, and wait until the pods are ready and the workers at their master."""
    began = time.monotonic()
    for document in objects(found):
        node.server.apply(document, "administrator")
    metadata = {"name": KEYS, "namespace": NAMESPACE}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {VARIABLE: key}}
    node.server.apply(as_sent(secret), "administrator")
    for name, count in ((MOCK_MODEL, 1), (MASTER, 1), (WORKER, WORKERS)):
        await_true(lambda name=name, count=count: _ready(node, name) == count, f"Deployment {NAMESPACE}/{name}", START_SECONDS)
    made = LoadTestPods(node)
    with made.page() as client:
        await_workers(client)
    made.start_seconds = time.monotonic() - began
    return made


def remove(node: Node) -> None:
    """Their processes, whose CPU other tests need."""
    for name in (MASTER, WORKER, MOCK_MODEL):
        node.server.ask("DELETE", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}")


def await_workers(page: httpx.Client) -> None:
    """Until every worker is at its master; after a run they are away for as long as users may take to finish (Locust's --stop-timeout)."""

    def ready() -> bool:
        workers = page.get("/stats/requests").json()["workers"]
        return [one["state"] for one in workers] == ["ready"] * WORKERS

    await_true(ready, "Locust's workers", START_SECONDS)


def swarm(page: httpx.Client, host: str, shape: str, **more: str) -> None:
    """Start a run by the page's form."""
    form = {"user_count": "1", "spawn_rate": "1", "host": host, "load_shape": shape, **more}
    said = page.post("/swarm", data=form).json()
    assert said["success"], said


def reports(page: httpx.Client) -> list[str]:
    """The names of the runs whose reports the page lists, oldest first."""
    return sorted(set(re.findall(r'reports/([^/"]+)/result\.json', page.get("/reports").text)))


def await_report(page: httpx.Client, known: list[str], seconds: float) -> str:
    """The name of the report that is not known yet."""
    await_true(lambda: len(reports(page)) > len(known), "another report", seconds)
    (name,) = set(reports(page)) - set(known)
    return name


def result(page: httpx.Client, name: str) -> LoadTestResult:
    """A run's result, as the page hands it out."""
    return LoadTestResult.model_validate_json(page.get(f"/reports/{name}/result.json").content)


def _ready(node: Node, name: str) -> int:
    found = node.server.ask("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}")
    return int(found.get("status", {}).get("readyReplicas", 0))
