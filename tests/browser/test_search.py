"""Searching, and the state of the service."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Service, Shoot

pytestmark = [pytest.mark.browser, pytest.mark.integration]


def test_search_marks_words_filters_and_explains(page: Page, service: Service, shoot: Shoot) -> None:
    page.goto(f"{service.url}/#search")
    page.get_by_label("Explain scores").check()
    page.get_by_role("searchbox").fill("file memory")
    page.keyboard.press("Enter")
    hits = page.locator(".hit")
    expect(hits).to_have_count(3)
    expect(hits.first.locator("mark").first).to_have_text("file")
    expect(hits.first).to_contain_text("0.912")
    expect(hits.first.locator(".explain")).to_contain_text("score 14.250, rank 1")
    shoot(page, "search")
    page.get_by_label("Mode").select_option("lexical")
    expect(hits.first.locator(".explain")).to_contain_text("not found this way")
    page.locator("#collection").select_option("letters")
    expect(page.locator("#search-results")).to_contain_text("Nothing found.")
    page.locator("#collection").select_option("")
    hits.first.get_by_role("button").click()
    expect(page.get_by_role("dialog")).to_contain_text("Text files are iterable by line.")


def test_preview_begins_near_the_first_marked_word(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/#search")
    page.get_by_role("searchbox").fill("common case")
    page.keyboard.press("Enter")
    preview = page.locator(".hit").nth(2).locator(".passage-preview")
    expect(preview.locator("mark")).to_have_text(["common", "case"])
    expect(preview).to_have_text(re.compile("^… "))


def test_failed_search_shows_the_problem_and_retries(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/#search")
    page.get_by_role("searchbox").fill("overload")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The search engine does not answer")
    page.get_by_role("searchbox").fill("file")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".hit")).to_have_count(3)


def test_status_tells_documents_index_and_release(page: Page, service: Service, shoot: Shoot) -> None:
    page.goto(f"{service.url}/#status")
    facts = page.locator(".facts")
    for text in ("embedded", "all-minilm-l6-v2-q", "r-20260105-1", "blue", "Extracted from the sources"):
        expect(facts).to_contain_text(text)
    expect(page.get_by_text("passages are found by their words only")).to_contain_text("120 of")
    shoot(page, "status")


def test_status_without_a_model_says_lexical_only(page: Page, service_of: Callable[..., Service]) -> None:
    page.goto(f"{service_of('--role', 'reader', '--no-model').url}/#status")
    expect(page.get_by_text("Lexical only", exact=True)).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("none: lexical only")
    expect(page.get_by_text("Redis does not answer: slower, not broken.")).to_be_visible()


def test_status_of_a_dead_service_keeps_the_last_numbers_and_says_how_old(page: Page, service_of: Callable[..., Service]) -> None:
    service = service_of("--role", "reader")
    page.goto(f"{service.url}/#status")
    expect(page.locator(".facts")).to_be_visible()
    service.kill()
    expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached", timeout=15_000)  # read every 5 s
    expect(page.get_by_text("The numbers below are from")).to_be_visible()


def test_reload_and_back_keep_the_query(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/#search")
    box = page.get_by_role("searchbox")
    for query in ("file memory", "common case"):
        box.fill(query)
        page.keyboard.press("Enter")
        expect(page.locator(".hit mark").first).to_be_visible()
    page.get_by_label("Mode").select_option("lexical")
    page.reload()
    expect(box).to_have_value("common case")
    expect(page.get_by_label("Mode")).to_have_value("lexical")
    expect(page.locator(".hit")).to_have_count(3)
    page.go_back()
    expect(page.get_by_label("Mode")).to_have_value("hybrid")
    page.go_back()
    expect(box).to_have_value("file memory")
    expect(page.locator(".hit mark").first).to_have_text("file")
    page.get_by_role("link", name="Documents").click()
    page.go_back()
    expect(box).to_have_value("file memory")
