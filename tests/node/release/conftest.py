"""A stack on a node, and its first release: the tests of this folder are one story on it."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from teal.aws.jobs import run_admin_job
from teal.aws.kubernetes import KubernetesClient
from tests.node import color, machine, metrics, stores
from tests.node.release import eks
from tests.node.release import place as places
from tests.node.release.place import Place
from tests.node.release.story import RULES, assert_whole, wait
from tests.services import app_image
from tests.services.go_tools import tool

GOLDEN: Final = {"question": "Who writes the weather into a green book?", "words": ["lighthouse"]}
DOCUMENT: Final = {"title": "Lighthouse", "text": "The lighthouse keeper writes the weather into a green book each morning."}


@pytest.fixture(scope="package")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    machine.require_machine()
    stores.require_stores()
    color.definitions()
    archive = app_image.build()
    places.prepare()
    if any("scaled" in getattr(item, "fixturenames", ()) for item in request.session.items):
        tool(metrics.NAME)
    with places.start(tmp_path_factory.mktemp("release"), archive) as made:
        made.rules = dict(RULES)
        yield made
        assert made.controller.failures == []


@pytest.fixture(scope="package")
def first(place: Place) -> str:
    """The first release is blue; an administrator's key."""
    place.push("v1")
    begin = time.monotonic()
    code, said = place.teal("release", "--image", "v1", "--json")
    assert code == 0, said[-3000:]
    print(f"the first release took {time.monotonic() - begin:.0f} s")
    assert_whole(place, "blue")
    key = _admin_key(place)
    golden = place.folder / "golden.jsonl"
    golden.write_text(json.dumps(GOLDEN) + "\n")
    place.environ["TEAL_GOLDEN"] = str(golden)
    with httpx.Client(base_url=place.alb.url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        assert client.post("/v1/documents", json=DOCUMENT).status_code == httpx.codes.ACCEPTED
        wait(lambda: client.post("/v1/search", json={"query": "lighthouse"}).json()["hits"], "the document")
    return key


def _admin_key(place: Place) -> str:
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
