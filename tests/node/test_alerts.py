"""Alerts of the platform's rule file on a real Prometheus, of what is really wrong with the service, on pods of it: each is pending, then fires with the
severity, the words and the runbook that the platform promises, and is silent when its cause is gone. No other one fires meanwhile.

Changed, and nothing else: how often pods are scraped and rules judged, and that a condition must hold for 3 s in the place of a minute.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from infra.observability.alerts import ALERTS
from infra.platform.cluster.addons import STATE_METRICS
from tests.node import color, drain, prometheus, search
from tests.node.alert_log import SILENT, WHOLE, AlertLog
from tests.node.conftest import SNAPSHOT, Service
from tests.node.node import await_true
from tests.node.prometheus import Prometheus
from tests.parts.app.service import wait_status
from tests.services.beside import beside

pytestmark = [pytest.mark.integration, pytest.mark.weekly]

ROOT: Final = Path(__file__).resolve().parents[2]
HELD_SECONDS_PER_MINUTE: Final = 3.0
QUIET_SECONDS: Final = 120.0  # targets are found and scraped, and rules judged; 15 s alone
RAISED_SECONDS: Final = 180.0  # of a condition that must hold for 45 s
SILENT_SECONDS: Final = 240.0  # a worker's pod starts anew; enough requests dilute those that failed
STOP_SECONDS: Final = 40.0  # the last look's own limit, and more
# Whatever a test does: a date comes near; no snapshot here was ever verified; and a machine's disk is full, or it is slow.
APART: Final = ("KubernetesEnds", "SnapshotUnverified", "SearchDisk", "LatencyBurnsFast", "LatencyBurns", "LatencyBurnsSlowly")
REQUESTS: Final = 100  # before anything fails, so that failures have something to be a share of
RED: Final = "of-these-tests"  # an index none of whose shards any node may have


@pytest.fixture
def log(observed: Service) -> Iterator[AlertLog]:
    """Of a Prometheus of its own, which remembers no test before, from the moment at which it has everything and no alert."""
    with prometheus.start(observed.node, prometheus.sooner(HELD_SECONDS_PER_MINUTE)) as running:
        try:
            await_true(lambda: not _unquiet(running), "a Prometheus that scrapes all pods and raises nothing", QUIET_SECONDS)
        except TimeoutError as error:
            raise AssertionError(f"{error}: {_unquiet(running)}") from error
        with beside(AlertLog(running), "alerts", STOP_SECONDS) as log:
            yield log


def test_search_that_does_not_answer_wakes_a_person_by_its_part_and_by_the_requests_that_fail(
    observed: Service, log: AlertLog
) -> None:
    part, fast = "PartDown{part=search}", "AvailabilityBurnsFast"
    with httpx.Client(base_url=observed.url, headers=observed.headers, timeout=30, trust_env=False) as client:
        assert {_search(client, number) for number in range(REQUESTS)} == {200}
        answers = []
        with search.cut_off(observed.node, observed.pods()):
            deadline = time.monotonic() + RAISED_SECONDS
            while {log.now(part), log.now(fast)} != {"firing"} and time.monotonic() < deadline:
                answers.append(_search(client, len(answers)))
                time.sleep(0.5)
        assert {log.now(part), log.now(fast)} == {"firing"}, log.states
        assert set(answers) == {503}
        await_true(lambda: log.now(part) == SILENT, f"the end of {part}", SILENT_SECONDS)
        deadline, more = time.monotonic() + SILENT_SECONDS, 0
        while log.now(fast) != SILENT and time.monotonic() < deadline:
            assert _search(client, more) == 200
            more += 1
    print(f"{REQUESTS} answered, {len(answers)} failed, {more} more answered until {fast} was silent")
    assert log.states[part] == WHOLE
    assert log.states[fast] == WHOLE[1:]  # its windows are its delay
    # Of the same failures; their shares are smaller, and so want more requests until they are silent.
    slower = {"AvailabilityBurns", "AvailabilityBurnsSlowly"}
    _assert_said(
        log, {part: {"part": "search"}, fast: {"slo": "availability"}, **{each: {"slo": "availability"} for each in slower}}
    )


def test_a_red_index_wakes_a_person_until_it_is_gone(observed: Service, log: AlertLog) -> None:
    engine = search.at_service(observed.node)
    settings = {"number_of_replicas": 0, "routing.allocation.require._name": "nobody"}
    engine.ask("PUT", f"/{RED}?wait_for_active_shards=0", {"settings": {"index": settings}})
    try:
        await_true(lambda: log.now("SearchRed") == "firing", "SearchRed", RAISED_SECONDS)
        assert engine.ask("GET", "/_cluster/health")["status"] == "red"
    finally:
        engine.ask("DELETE", f"/{RED}")
    await_true(lambda: log.now("SearchRed") == SILENT, "the end of SearchRed", SILENT_SECONDS)
    assert log.states["SearchRed"] == WHOLE
    _assert_said(log, {"SearchRed": {}})


def test_no_snapshot_wakes_a_person_until_there_is_one(observed: Service, log: AlertLog) -> None:
    engine = search.at_service(observed.node)
    engine.forget_snapshot(SNAPSHOT)
    try:
        await_true(lambda: log.now("SnapshotStale") == "firing", "SnapshotStale", RAISED_SECONDS)
    finally:
        engine.snapshot(SNAPSHOT)
    await_true(lambda: log.now("SnapshotStale") == SILENT, "the end of SnapshotStale", SILENT_SECONDS)
    assert log.states["SnapshotStale"] == WHOLE
    _assert_said(log, {"SnapshotStale": {}})


def test_no_worker_for_a_document_that_waits_wakes_a_person_until_one_finds_a_node(observed: Service, log: AlertLog) -> None:
    node, waits = observed.node, f"PodsWait{{namespace={color.NAMESPACE}}}"
    with httpx.Client(base_url=observed.url, headers=observed.headers, timeout=30, trust_env=False) as client:
        drain.allow(node, pods=False)
        try:
            for pod in node.pods(color.NAMESPACE, **{"app.kubernetes.io/component": "worker"}):
                node.server.ask("DELETE", f"/api/v1/namespaces/{color.NAMESPACE}/pods/{pod['metadata']['name']}")
            added = client.post("/v1/documents", json={"title": "Ferry", "text": "The ferry waits for whoever is late."})
            assert added.status_code == httpx.codes.ACCEPTED, added.text
            document = added.json()["id"]
            for name in ("WorkerGone", waits):
                await_true(lambda name=name: log.now(name) == "firing", name, RAISED_SECONDS)
            assert client.get(f"/v1/documents/{document}").json()["status"] == "queued"
        finally:
            drain.allow(node, pods=True)
        for name in ("WorkerGone", waits):
            await_true(lambda name=name: log.now(name) == SILENT, f"the end of {name}", SILENT_SECONDS)
        assert wait_status(client, document, "indexed", "failed")["status"] == "indexed"
    assert (log.states["WorkerGone"], log.states[waits]) == (WHOLE, WHOLE)
    _assert_said(log, {"WorkerGone": {}, waits: {"namespace": color.NAMESPACE}})


def _unquiet(running: Prometheus) -> list[str]:
    """Pods that are not reached, rules that are not judged, and alerts."""
    targets = running.targets()
    found = [f"no target of {job}" for job in ("teal", STATE_METRICS) if job not in targets]
    found += [f"{one['scrapeUrl']}: {one['lastError']}" for each in targets.values() for one in each if one["health"] != "up"]
    found += [rule["name"] for rule in running.rules() if rule["health"] != "ok" or not float(rule["evaluationTime"])]
    return [*found, *sorted(running.alerts().keys() - set(APART))]


def _search(client: httpx.Client, number: int) -> int:
    """The status of a search that was not asked before."""
    return client.post("/v1/search", json={"query": f"lighthouse {number} {time.monotonic_ns()}"}).status_code


def _assert_said(log: AlertLog, wanted: dict[str, dict[str, Any]]) -> None:
    """These fired, and no other. `wanted`: what each one's labels are besides its name and severity."""
    fired = {name: one for name, one in log.fired.items() if one["labels"]["alertname"] not in APART}
    assert fired.keys() == wanted.keys(), log.states
    promised = {alert.name: alert for alert in ALERTS}
    for name, one in fired.items():
        alert = promised[one["labels"]["alertname"]]
        assert one["labels"] == {"alertname": alert.name, "severity": alert.severity, **wanted[name]}
        assert one["annotations"] == {"summary": alert.summary, "runbook": alert.page}
        assert (ROOT / alert.page).is_file()
