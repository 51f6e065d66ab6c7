"""Signing in and out, and a service that is not there."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Service, Shoot

pytestmark = [pytest.mark.browser, pytest.mark.integration]


def test_key_in_the_link_signs_in_and_leaves_address_and_history(
    page: Page, context: BrowserContext, service_of: Callable[..., Service]
) -> None:
    url = service_of().url
    page.goto(f"{url}/#key=teal_reader_secret")
    expect(page.get_by_role("heading", name="Ask your documents")).to_be_visible()
    assert page.url == f"{url}/#ask"
    assert page.evaluate("history.length") <= 2
    assert page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]") == ["", 0, 0]
    cookie = next(cookie for cookie in context.cookies() if cookie["name"] == "teal_session")
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Strict")


def test_wrong_key_says_what_to_do_and_the_right_one_then_works(
    page: Page, service_of: Callable[..., Service], shoot: Shoot
) -> None:
    page.goto(service_of().url)
    page.get_by_label("Key", exact=True).fill("teal_wrong")
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("This key does not work")
    expect(alert).to_contain_text("teal keys create --role reader")
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    shoot(page, "sign-in-wrong-key")
    page.get_by_label("Key", exact=True).fill("teal_writer_secret")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("tests · writer")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_wrong_key_in_the_link_ends_at_the_form_with_the_reason(page: Page, service_of: Callable[..., Service]) -> None:
    page.goto(f"{service_of().url}/#key=teal_old")
    expect(page.get_by_role("alert")).to_contain_text("This key does not work")
    assert "teal_old" not in page.url


def test_ended_session_asks_to_sign_in_and_keeps_what_was_typed(
    page: Page, context: BrowserContext, service_of: Callable[..., Service]
) -> None:
    page.goto(f"{service_of().url}/#key=teal_reader_secret")
    expect(page.get_by_role("heading", name="Ask your documents")).to_be_visible()
    context.clear_cookies()
    page.get_by_label("Your question").fill("How do I read lines?")
    page.keyboard.press("Enter")
    expect(page.locator("#sign-in").get_by_text("Your session has ended")).to_be_visible()
    page.get_by_label("Key", exact=True).fill("teal_reader_secret")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your question")).to_have_value("How do I read lines?")


def test_reader_is_told_why_nothing_can_be_added(page: Page, service_of: Callable[..., Service]) -> None:
    page.goto(f"{service_of('--role', 'reader').url}/#documents")
    expect(page.get_by_text("This key can read.")).to_be_visible()
    expect(page.locator("#drop")).to_be_hidden()
    expect(page.get_by_role("button", name=re.compile("^Delete"))).to_have_count(0)


def test_service_gone_is_told_with_a_retry_that_works(page: Page, service: Service, shoot: Shoot) -> None:
    page.route("**/v1/session", lambda route: route.abort("connectionrefused"))
    page.goto(service.url)
    expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached")
    shoot(page, "service-gone")
    page.unroute("**/v1/session")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Ask your documents")).to_be_visible()


def test_load_balancers_own_error_page_is_not_shown_raw(page: Page, service: Service) -> None:
    page.route("**/v1/search", lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>"))
    page.goto(f"{service.url}/#search")
    page.get_by_role("searchbox").fill("file")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The service answered with error 502")
    expect(page.get_by_role("alert")).not_to_contain_text("Bad gateway")
