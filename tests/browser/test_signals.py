"""The page's view of what all processes count: live, from the service itself, and for admins alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shoot
from tests.parts.app.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.integration]
LIVE_MS = 20_000  # a rate needs two answers, 2 s apart, and a busy machine several


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(
        tmp_path_factory.mktemp("signals"), {"TEAL_EMBEDDING": "none", "TEAL_LOG_DIR": str(tmp_path_factory.mktemp("logs"))}
    ).start()
    yield made
    made.stop()


def link(service: Service, role: str) -> str:
    """Signs the page in."""
    return f"http://127.0.0.1:{service.ports[0]}/#key={service.key(role)}"


def ask(client: httpx.Client, times: int) -> None:
    for number in range(times):
        assert client.post("/v1/search", json={"query": f"nothing {number}"}).status_code == 200


def test_an_admin_sees_app_and_worker_live(page: Page, service: Service, shoot: Shoot) -> None:
    page.goto(link(service, "admin"))
    page.get_by_role("link", name="Signals").click()
    expect(page.locator("#signals-lead")).to_contain_text("2 processes (blue app, blue worker)", timeout=LIVE_MS)
    requests = page.get_by_role("region", name="Requests", exact=True)
    rate = requests.get_by_role("listitem").filter(has_text="/v1/search").locator("strong")
    with service.client("reader") as client:
        for _ in range(40):  # until the page has seen requests between two answers of its own
            ask(client, 5)
            if rate.filter(has_text=re.compile(r"^([1-9]|0\.0*[1-9])")).is_visible():
                break
            page.wait_for_timeout(250)
    expect(rate).to_have_text(re.compile(r"^[0-9.]+/s$"))
    expect(requests.get_by_role("img")).to_have_attribute("aria-label", re.compile(r"^Requests: .*/v1/search [0-9.]+/s"))
    expect(page.get_by_role("region", name="Errors")).to_contain_text("0 %")
    shoot(page, "signals-service")
    page.get_by_role("button", name="Ingestion").click()
    expect(page.get_by_role("region", name="Documents", exact=True)).to_contain_text("indexed")
    expect(page.get_by_role("region", name="Oldest that waits")).to_contain_text("0 ms")
    page.get_by_role("button", name="Capacity and cost").click()
    memory = page.get_by_role("region", name="Memory", exact=True)
    expect(memory).to_contain_text("worker blue")
    expect(memory).to_contain_text(re.compile(r"[1-9][0-9.]* MB"))
    expect(page.get_by_role("region", name="Slow statements")).to_contain_text("Nothing yet")  # there is no PostgreSQL
    shoot(page, "signals-capacity")
    found = Axe().run(page).response
    assert found["passes"], "axe checked nothing"
    assert [v["id"] for v in found["violations"] if v["impact"] in ("serious", "critical")] == []


def test_the_number_on_the_page_is_the_processes_own(page: Page, service: Service) -> None:
    page.goto(link(service, "admin"))
    page.get_by_role("link", name="Signals").click()
    page.get_by_role("button", name="Release").click()
    shown = page.get_by_role("region", name="Processes")
    expect(shown).to_contain_text("blue test")
    expect(shown.locator("strong")).to_have_text("2")
    exposed = [httpx.get(peer).text for peer in service.peers()]
    assert all('teal_build_info{color="blue"' in text for text in exposed)


def test_a_writer_has_no_such_tab_and_is_refused(page: Page, service: Service) -> None:
    page.goto(link(service, "writer"))
    expect(page.get_by_text("test-writer · writer")).to_be_visible()
    expect(page.get_by_role("link", name="Signals")).to_be_hidden()
    page.evaluate("location.hash = '#signals'")
    expect(page.get_by_role("heading", name="Ask your documents")).to_be_visible()
    with service.client_with(None) as nobody, service.client("writer") as writer:
        assert nobody.get("/v1/signals").status_code == 401
        refused = writer.get("/v1/signals")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
