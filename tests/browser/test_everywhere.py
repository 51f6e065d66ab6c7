"""What holds in every state of the page: accessibility, phone width, dark mode, hostile text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Service, Shoot, a_file, start

pytestmark = [pytest.mark.browser, pytest.mark.integration]


def test_tabs_are_addresses_and_move_focus_to_their_heading(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/#status")
    expect(page).to_have_title("Status · Teal")
    page.get_by_role("link", name="Search").click()
    expect(page.get_by_role("heading", name="Search", level=1)).to_be_focused()
    expect(page.get_by_role("link", name="Search")).to_have_attribute("aria-current", "page")
    page.go_back()
    expect(page.get_by_role("heading", name="Status", level=1)).to_be_focused()


def test_skip_link_is_first_and_leads_to_the_content(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/#documents")
    expect(page.locator("#documents-list .row").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    assert page.url.endswith("#documents")


def goto_state(page: Page, url: str, state: str, locked_url: str) -> None:
    if state == "sign-in":
        page.goto(locked_url)
        page.get_by_label("Key", exact=True).fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_visible()
    elif state in ("ask", "passage"):
        page.goto(f"{url}/#ask")
        for question in ("this fails", "nothing", "hostile"):
            page.get_by_label("Your question").fill(question)
            page.keyboard.press("Enter")
            expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()
            expect(page.locator("article").first).to_have_attribute("aria-busy", "false")
        if state == "passage":
            page.locator(".cite").first.click()
            expect(page.get_by_role("dialog")).to_be_visible()
    elif state == "search":
        page.goto(f"{url}/#search")
        page.get_by_label("Explain scores").check()
        page.get_by_role("searchbox").fill("hostile")
        page.keyboard.press("Enter")
        expect(page.locator(".explain").first).to_be_visible()
    elif state == "documents":
        page.goto(f"{url}/#documents")
        expect(page.locator("#documents-list .row").first).to_be_visible()
        page.locator("#files").set_input_files([a_file("scanned.pdf"), a_file("big.txt", 2_100_000)])
        expect(page.get_by_role("button", name="Retry scanned.pdf").first).to_be_visible()
        expect(page.get_by_role("alert")).to_be_visible()
    elif state == "status":
        page.goto(f"{url}/#status")
        expect(page.locator(".facts")).to_be_visible()
    else:
        page.goto(f"{url}/nowhere")


Scheme = Literal["light", "dark"]
STATES = ("sign-in", "ask", "passage", "search", "documents", "status", "error-page")


@pytest.fixture(scope="module")
def locked() -> Iterator[Service]:
    """Everybody needs to sign in."""
    running = start()
    yield running
    running.kill()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_no_serious_accessibility_violation(
    browser: Browser, service: Service, locked: Service, shoot: Shoot, state: str, scheme: Scheme
) -> None:
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce", viewport={"width": 1200, "height": 860})
    page = context.new_page()
    goto_state(page, service.url, state, locked.url)
    shoot(page, f"{state}-{scheme}")
    # axe is injected by the driver, past the page's own policy
    found = (
        Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).response
    )
    serious = [
        (v["id"], v["impact"], [n["target"] for n in v["nodes"]][:3])
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]
    assert found["passes"], "axe checked nothing"
    assert serious == []
    context.close()


@pytest.mark.parametrize("state", STATES)
def test_phone_of_360_pixels_needs_no_sideways_scrolling(
    browser: Browser, service: Service, locked: Service, shoot: Shoot, state: str
) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, reduced_motion="reduce", has_touch=True)
    page = context.new_page()
    goto_state(page, service.url, state, locked.url)
    shoot(page, f"{state}-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    wide = page.evaluate("""[...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && !e.closest('.vh, option, select')
        && e.getBoundingClientRect().right > 361).map((e) => e.outerHTML.slice(0, 90))""")
    assert wide == []
    if state == "passage":
        assert page.evaluate("(d => d.scrollWidth <= d.clientWidth)(document.getElementById('passage'))")
    context.close()


def test_dark_mode_follows_the_system(browser: Browser, service: Service) -> None:
    def background(scheme: Scheme) -> int:
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(service.url)
        channels = re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
        return sum(int(channel) for channel in channels[:3])

    assert background("dark") < 3 * 40
    assert background("light") > 3 * 230


@pytest.mark.parametrize("state", ["ask", "passage", "search", "documents"])
def test_hostile_text_is_shown_as_text(page: Page, service: Service, locked: Service, state: str) -> None:
    goto_state(page, service.url, state, locked.url)
    where = {"ask": "#answers", "passage": "#passage", "search": "#search-results", "documents": "#documents-list"}[state]
    expect(page.locator(where)).to_contain_text("<img src=x onerror=")
    expect(page.locator(where)).to_contain_text("<script>")
    assert page.locator(f"{where} img, {where} script, {where} a[href^='javascript']").count() == 0
    assert "owned" not in page.title()


def test_error_page_for_people_names_what_to_do_and_the_request(page: Page, service: Service) -> None:
    response = page.goto(f"{service.url}/<img src=x>")
    assert response is not None
    assert response.status == 404
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    expect(page.get_by_text("Check the address.")).to_be_visible()
    expect(page.get_by_text("req-page-1")).to_be_visible()
    assert page.locator("main img").count() == 0
