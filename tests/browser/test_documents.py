"""Adding files, the list of documents, deleting."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Service, Shoot, a_file

pytestmark = [pytest.mark.browser, pytest.mark.integration]


def test_upload_shows_its_way_from_sending_to_indexed(page: Page, service: Service, shoot: Shoot) -> None:
    page.goto(f"{service.url}/#documents")
    page.get_by_label("Put them into collection").fill("letters")
    page.locator("#files").set_input_files([a_file("notes.md", 1_500_000), a_file("other.txt")])
    row = page.get_by_label("Uploads").get_by_role("listitem").filter(has_text="notes.md")
    expect(row).to_contain_text("Processing")
    expect(row.get_by_role("progressbar")).to_be_visible()
    shoot(page, "documents-uploading")
    expect(row).to_contain_text("Indexed")
    expect(row).to_contain_text("3 passages")
    expect(page.locator("#documents-list .row").filter(has_text="notes.md")).to_contain_text("letters")
    row.get_by_role("button", name="Dismiss notes.md").click()
    expect(row).to_have_count(0)


def test_failed_document_gives_its_reason_and_can_be_retried(page: Page, service: Service, shoot: Shoot) -> None:
    page.goto(f"{service.url}/#documents")
    page.locator("#files").set_input_files(a_file("scanned-invoice.pdf"))
    row = page.get_by_label("Uploads").get_by_role("listitem").filter(has_text="scanned-invoice.pdf")
    expect(row).to_contain_text("The PDF holds no text: its pages are pictures.")
    expect(row).to_contain_text("Run text recognition over it")
    shoot(page, "documents-failed")
    row.get_by_role("button", name="Retry scanned-invoice.pdf").click()
    expect(row).to_contain_text("Indexed")
    expect(page.locator("#documents-list .row").filter(has_text="scanned-invoice.pdf")).to_contain_text("Indexed")


def test_dropped_file_that_is_refused_says_why(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/#documents")
    data = page.evaluate_handle("""() => { const data = new DataTransfer();
        data.items.add(new File(["x".repeat(2_100_000)], "big.txt", { type: "text/plain" })); return data; }""")
    page.locator("#drop").dispatch_event("drop", {"dataTransfer": data})
    row = page.get_by_label("Uploads").get_by_role("listitem").filter(has_text="big.txt")
    expect(row.get_by_role("alert")).to_contain_text("the limit is 2.0 MB")
    expect(row.get_by_role("button", name="Send again big.txt")).to_be_visible()


def test_list_pages_forth_and_back_and_deletes_only_after_asking(page: Page, service: Service, shoot: Shoot) -> None:
    page.goto(f"{service.url}/#documents")
    rows = page.locator("#documents-list .row")
    expect(rows).to_have_count(20)
    first_page = rows.all_inner_texts()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("Page 2", exact=True)).to_be_visible()
    assert rows.all_inner_texts() != first_page
    page.get_by_role("button", name="Previous").click()
    expect(page.get_by_text("Page 1", exact=True)).to_be_visible()
    victim = page.get_by_role("button", name="Delete Library reference, part 3", exact=True)
    victim.click()
    dialog = page.get_by_role("dialog", name="Delete this document?")
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    shoot(page, "documents-delete")
    page.keyboard.press("Escape")
    expect(victim).to_be_focused()
    victim.click()
    dialog.get_by_role("button", name="Delete").click()
    expect(victim).to_have_count(0)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Delete Library reference, part 4"


def test_impossible_collection_name_is_refused_before_anything_is_sent(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/#documents")
    page.get_by_label("Put them into collection").fill("My Letters")
    page.locator("#files").set_input_files([a_file("notes.md")])
    expect(page.get_by_label("Put them into collection")).to_be_focused()
    assert page.locator("#into:invalid").count() == 1
    assert page.get_by_label("Uploads").get_by_role("listitem").count() == 0
