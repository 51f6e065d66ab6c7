"""Shares of the colors on a real Caddy: how exact, how sudden, and what a change costs those who are connected."""

from __future__ import annotations

import itertools
import math
import secrets
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from contract.http import SESSION_COOKIE
from teal.client.entry import PROBE_HEADER
from teal.laptop.traffic import SESSIONS
from teal.ports.traffic import all_to, weights_after_shift
from teal.record.model import COLORS
from tests.services import caddy_process
from tests.services.caddy_process import Front

pytestmark = pytest.mark.integration
REQUESTS = 1_000
LOAD_SECONDS = 60.0  # at most, on a machine that answers few requests a second


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with caddy_process.start(tmp_path_factory.mktemp("front")) as started:
        yield started


def _colors(http: httpx.Client, count: int) -> Counter[str]:
    return Counter(http.get("/").json()["color"] for _ in range(count))


@pytest.mark.parametrize("percent", [5, 25, 50])
def test_a_share_is_met_within_what_chance_allows(front: Front, percent: int) -> None:
    front.traffic.set(weights_after_shift("green", percent))
    with front.client() as http:
        green = _colors(http, REQUESTS)["green"]
    share = round(256 * percent / 100) / 256
    deviation = math.sqrt(REQUESTS * share * (1 - share))
    assert abs(green - REQUESTS * share) < 5 * deviation  # beyond it once in 1.7 million runs


def test_who_is_signed_in_and_met_the_new_color_stays_with_it_while_its_share_grows(front: Front) -> None:
    """2,000 sessions through a release. Each share is met within what chance allows; only giving it back takes anybody away."""
    tokens = [secrets.token_urlsafe(32) for _ in range(2_000)]

    def met(http: httpx.Client) -> set[str]:
        found = {
            token for token in tokens if http.get("/", headers={"Cookie": f"{SESSION_COOKIE}={token}"}).json()["color"] == "green"
        }
        assert all(token in found for token in before), "somebody was sent back to the old color"
        return found

    before: set[str] = set()
    with front.client() as http:
        for percent in (5, 25, 50, 100):
            front.traffic.set(weights_after_shift("green", percent))
            before = met(http)
            share = round(SESSIONS * percent / 100) / SESSIONS
            assert abs(share - percent / 100) <= 0.5 / SESSIONS
            assert abs(len(before) - len(tokens) * share) <= 5 * math.sqrt(len(tokens) * share * (1 - share))
        before = set()
        front.traffic.set(all_to("blue"))
        assert met(http) == set()


def test_a_cookie_that_is_no_token_is_drawn_as_any_other_request(front: Front) -> None:
    front.traffic.set(weights_after_shift("green", 50))
    for cookie in ("", "=A", "../session-00", "%41"):
        with front.client(headers={"Cookie": f"{SESSION_COOKIE}={cookie}"}) as http:
            assert set(_colors(http, 60)) == {"blue", "green"}  # one color alone: once in 2^59 runs


def test_all_means_all_and_at_the_next_request(front: Front) -> None:
    with front.client() as http:
        for color in ("green", "blue", "green", "blue"):
            front.traffic.set(all_to(color))  # type: ignore[arg-type]
            assert _colors(http, 50) == {color: 50}


def test_a_probe_reaches_its_color_whatever_the_share_and_nobody_else_can(front: Front) -> None:
    for weights in (all_to("blue"), all_to("green"), weights_after_shift("green", 50)):
        front.traffic.set(weights)
        for color in COLORS:
            with front.client(headers=dict(front.traffic.entry(color).headers)) as http:
                assert _colors(http, 20) == {color: 20}
    front.traffic.set(all_to("blue"))
    for forged in ("green", "9" * 47, "probe-green", "../green-100/00", "00", ""):
        with front.client(headers={PROBE_HEADER: forged}) as http:
            assert _colors(http, 5) == {"blue": 5}


@pytest.mark.parametrize("http2", [False, True])
def test_no_request_fails_while_shares_change_under_load(front: Front, http2: bool) -> None:
    stop = threading.Event()
    seen: Counter[str] = Counter()
    verify = ssl.create_default_context(cafile=str(front.layout.ca))

    def load() -> None:
        with httpx.Client(base_url=front.url, verify=verify, trust_env=False, http2=http2, timeout=10) as http:
            while not stop.is_set():
                try:
                    seen[str(http.post("/v1/search", content=b"{}").status_code)] += 1
                except httpx.HTTPError as error:
                    seen[type(error).__name__] += 1

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + LOAD_SECONDS
    for change in itertools.count():
        front.traffic.set(weights_after_shift("green", (0, 5, 25, 50, 100)[change % 5]))
        time.sleep(0.05)  # seconds: forty changes in two
        if (change >= 39 and seen["200"] > 200) or time.monotonic() > deadline:
            break
    stop.set()
    for thread in threads:
        thread.join(15)
    assert set(seen) == {"200"}
    assert seen["200"] > 200


def test_nothing_answers_on_caddys_admin_port_and_nothing_in_the_configuration_can_turn_it_on(front: Front) -> None:
    import psutil

    ports = {
        row.laddr.port
        for row in psutil.Process(front.process.pid).net_connections(kind="inet")
        if row.status == psutil.CONN_LISTEN
    }
    assert ports == {int(front.url.rpartition(":")[2])}
    caddyfile = Path(front.layout.conf / "Caddyfile").read_text()
    assert caddyfile.count("admin off") == 1
