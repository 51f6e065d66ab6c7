"""Snapshots on a node: taken, tested and restored by Jobs of the service's image, in the operator's namespace, as on AWS. Elasticsearch's
repository is a folder here, and S3 there; the catalog's database has a service of its own there, and is not restored by these."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx
import pytest

from contract.names import CHECK, OPERATOR_NAMESPACE
from infra.service.check import SCHEDULE
from teal.record.model import Color
from tests.cluster.apiserver import conditions
from tests.node.release.place import Place
from tests.node.release.story import active_color, assert_whole, timed, users, wait

pytestmark = [pytest.mark.integration, pytest.mark.weekly, pytest.mark.timeout(1_800)]

EACH_MINUTE: Final = "* * * * *"  # the shortest that a CronJob knows
LATER: Final = {"title": "Harbour", "text": "The harbour master counts the herring barrels before the tide turns."}
_JOBS: Final = f"/apis/batch/v1/namespaces/{OPERATOR_NAMESPACE}/jobs"


def test_a_snapshot_is_taken_tested_by_the_color_s_own_cronjob_and_brings_back_a_lost_index(place: Place, first: str) -> None:
    active, took = active_color(place), dict[str, float]()
    with users(place, first):
        with timed(took, "snapshot"):
            taken = rows(place, "snapshot")[-1]
        with timed(took, "the CronJob's own test, from its change to a schedule of each minute"), soon(place, active):
            wait(lambda: checks(place, active, "Complete") or checks(place, active, "Failed"), "a Job of the CronJob")
    assert not checks(place, active, "Failed")
    listed = {row["id"]: row for row in rows(place, "snapshots")}
    assert listed[taken["id"]]["verified_at"]
    assert taken["documents"] >= 1

    headers = {"Authorization": f"Bearer {first}"}
    with httpx.Client(base_url=place.alb.url, headers=headers, timeout=30) as client:

        def found(query: str) -> set[str]:
            answer = client.post("/v1/search", json={"query": query, "mode": "lexical"})
            return {hit["title"] for hit in answer.json()["hits"]} if answer.is_success else set()

        assert client.post("/v1/documents", json=LATER).status_code == httpx.codes.ACCEPTED
        wait(lambda: LATER["title"] in found("harbour"), "the document that came after the snapshot")
        state = place.record().active_state
        assert state is not None
        (lost,) = place.search.ask("GET", f"/_alias/{state.index}")
        place.search.ask("DELETE", f"/{lost}")
        # In other words each time, because an answer may be kept.
        wait(lambda: not found("keeper weather") and not found("herring barrels"), "the loss")
        with timed(took, "restore"):
            restored = rows(place, "restore", "--only", "search", "--yes", "--snapshot", taken["id"])
        assert restored[-1]["detail"] == "restored", restored
        wait(lambda: "Lighthouse" in found("green book morning"), "what the snapshot holds")
        wait(lambda: LATER["title"] in found("master counts tide"), "what the catalog alone knew")
    assert_whole(place, active)
    print(took)


def rows(place: Place, *command: str) -> list[dict[str, Any]]:
    """The JSON lines of a command that succeeds."""
    code, said = place.teal(*command, "--json")
    assert code == 0, said[-3000:]
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


@contextmanager
def soon(place: Place, color: Color) -> Iterator[None]:
    """The color's CronJob is due in the next minute, until the end of the block."""
    path = f"/apis/batch/v1/namespaces/{OPERATOR_NAMESPACE}/cronjobs/{CHECK}-{color}"
    merge = {"Content-Type": "application/merge-patch+json"}
    place.node.server.ask("PATCH", path, {"spec": {"schedule": EACH_MINUTE}}, headers=merge)
    try:
        yield
    finally:
        place.node.server.ask("PATCH", path, {"spec": {"schedule": SCHEDULE}}, headers=merge)


def checks(place: Place, color: Color, ended: str) -> list[dict[str, Any]]:
    """Jobs that the color's CronJob has made and that ended so."""
    return [
        job
        for job in place.node.server.ask("GET", _JOBS)["items"]
        if f"{CHECK}-{color}" in [owner["name"] for owner in job["metadata"].get("ownerReferences", ())]
        and "True" in conditions(job, ended)
    ]
