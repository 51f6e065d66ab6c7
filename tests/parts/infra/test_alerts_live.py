"""The rules on metrics that were recorded from running processes: none fires while all is well; each condition that can be caused here
makes its own fire. One scrape stands for one minute, so that windows of an hour need a few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.observability.alerts import ALERTS
from tests.parts.app.service import Service, add, until, wait_status
from tests.parts.infra.test_rules import check, expected
from tests.services.redis_process import RedisProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_800)]  # the first use of promtool builds it
SCRAPES = 60
BROKEN_DOCUMENTS = 13
RULES = [alert.name for alert in ALERTS if alert.expression]
Recorded = dict[str, list[str]]
# Only on AWS, by other exporters: a rule that asks whether they are there would find nothing here.
ELSEWHERE = {"teal_snapshot_age_seconds": "60"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisProcess) -> Iterator[Service]:
    """One for all, in the order of the tests: each begins with what the one before it counted, as a service does."""
    running = Service(
        tmp_path_factory.mktemp("live"), {"TEAL_EMBEDDING": "none", "REDIS_URL": redis_server.url, "TEAL_CACHE_SECONDS": "0"}
    ).start()
    yield running
    running.stop()


def record(service: Service, meanwhile: Callable[[int], None]) -> Recorded:
    """Values of each series at each scrape, in promtool's form; `_` where a process did not answer."""
    found: Recorded = {name: [value] * SCRAPES for name, value in ELSEWHERE.items()}
    for number in range(SCRAPES):
        meanwhile(number)
        for peer in service.peers():
            try:
                text = httpx.get(peer, timeout=5).text
            except httpx.TransportError:
                continue
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    if not sample.name.startswith("teal_"):
                        continue
                    component = "worker" if peer == service.peers()[-1] else "app"
                    labels = {**sample.labels, "component": component, "instance": peer.split("/")[2]}
                    written = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
                    series = f"{sample.name}{{{written}}}"
                    # Moments become promtool's, whose clock starts at 0.
                    moved = 60 * number - time.time() if sample.name.endswith("_timestamp_seconds") else 0.0
                    found.setdefault(series, ["_"] * SCRAPES)[number] = f"{sample.value + moved:.6f}"
    return found


def verdict(recorded: Recorded, folder: Path, fires: dict[str, list[dict[str, str]]]) -> None:
    """Fails unless at the end exactly these fire, with these labels."""
    case: dict[str, Any] = {
        "name": "recorded",
        "interval": "1m",
        "input_series": [{"series": name, "values": " ".join(values)} for name, values in recorded.items()],
        "alert_rule_test": [
            {
                "eval_time": f"{SCRAPES - 1}m",
                "alertname": name,
                "exp_alerts": [expected(name, labels) for labels in fires.get(name, ())],
            }
            for name in RULES
        ],
    }
    ended = check([case], folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_none_fires_while_documents_questions_and_mistakes_are_served(service: Service, tmp_path: Path) -> None:
    with service.client("admin") as admin:
        add(admin, "Lighthouse", "The lighthouse of Alexandria was built around 280 BC on the island of Pharos.")

        def load(number: int) -> None:
            admin.post("/v1/search", json={"query": f"lighthouse {number}"})
            admin.post("/v1/ask", json={"question": "When was the lighthouse of Alexandria built?", "stream": number % 2 == 0})
            admin.post("/v1/search", json={"query": ""})  # 422: the caller's mistake
            admin.get("/v1/documents/unknown")
            if number % 5 == 0:
                admin.post("/v1/documents", json={"title": f"Note {number}", "text": f"Note number {number} about islands."})

        recorded = record(service, load)
    verdict(recorded, tmp_path, {})


def test_what_is_done_to_the_service_fires_its_alert_and_no_other(
    service: Service, tmp_path: Path, redis_server: RedisProcess
) -> None:
    """Redis is stopped, questions find nothing, and many documents are broken."""
    try:
        with service.client("admin") as admin:

            def trouble(number: int) -> None:
                if number == 0:
                    redis_server.stop()
                for place in ("here", "there", "above", "below"):
                    admin.post("/v1/search", json={"query": f"nothing {place} {number}"})
                if number < BROKEN_DOCUMENTS:
                    broken = {"file": (f"{number}.pdf", b"%%PDF-1.4 nothing here, %d times" % number, "application/pdf")}
                    sent = admin.post("/v1/documents/upload", files=broken).json()["id"]
                    wait_status(admin, sent, "failed")
                elif number == BROKEN_DOCUMENTS:
                    counted = f'teal_documents{{status="failed"}} {float(BROKEN_DOCUMENTS)}'
                    until("the worker's count of them", lambda: counted in httpx.get(service.peers()[-1]).text)

            recorded = record(service, trouble)
    finally:
        if redis_server.stopped:
            redis_server.start()
    fires: dict[str, list[dict[str, str]]] = {"PartDown": [{"part": "redis"}], "RetrievalEmpty": [{}], "DocumentsFail": [{}]}
    verdict(recorded, tmp_path, fires)


def test_an_app_that_is_gone_is_noticed_though_the_worker_lives(service: Service, tmp_path: Path) -> None:
    def trouble(number: int) -> None:
        if number == 10:
            service.kill("app-0")

    recorded = record(service, trouble)
    verdict(recorded, tmp_path, {"ServiceAbsent": [{}]})
