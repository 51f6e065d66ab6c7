"""Adding files, the list of documents, deleting."""

from __future__ import annotations

import re

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


DROP_FOLDER = """() => {
    const file = (name) => ({ isFile: true, name, fullPath: `/letters/${name}`, file: (done) => done(new File(["words"], name)) });
    const reader = (batches) => ({ readEntries: (done) => done(batches.shift() ?? []) });
    const folder = { isDirectory: true, name: "letters", createReader: () => reader([[file("a.md"), file("photo.heic")], [inner]]) };
    const inner = { isDirectory: true, name: "old", createReader: () => reader([[file("b.txt")]]) };
    const drop = new Event("drop", { bubbles: true, cancelable: true });
    drop.dataTransfer = { files: [new File([""], "letters")], items: [{ webkitGetAsEntry: () => folder }] };
    document.getElementById("drop").dispatchEvent(drop);
}"""


def test_dropped_folder_is_read_and_what_is_left_out_is_said(page: Page, service: Service, shoot: Shoot) -> None:
    page.goto(f"{service.url}/#documents")
    expect(page.locator("#documents-list .row").first).to_be_visible()
    page.evaluate(DROP_FOLDER)
    uploads = page.get_by_label("Uploads").get_by_role("listitem")
    expect(uploads).to_have_count(2)
    expect(uploads.filter(has_text="a.md")).to_contain_text("Indexed")
    expect(uploads.filter(has_text="b.txt")).to_contain_text("Indexed")
    expect(page.locator("#drop-notice")).to_contain_text("letters/photo.heic")
    shoot(page, "documents-folder")


def test_dropped_folder_that_cannot_be_read_says_what_to_do(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/#documents")
    page.evaluate("""() => { const drop = new Event("drop", { bubbles: true, cancelable: true });
        const reader = { readEntries: (done, failed) => failed(new Error("No permission.")) };
        drop.dataTransfer = { files: [], items: [{ webkitGetAsEntry: () => ({ isDirectory: true, name: "x", createReader: () => reader }) }] };
        document.getElementById("drop").dispatchEvent(drop); }""")
    expect(page.locator("#drop-notice")).to_contain_text("The folder cannot be read")
    expect(page.locator("#drop-notice")).to_contain_text("teal ingest FOLDER")


def test_library_is_searched_and_filtered_and_reload_and_back_keep_it(page: Page, service: Service, shoot: Shoot) -> None:
    page.goto(f"{service.url}/#documents")
    rows = page.locator("#documents-list .row")
    expect(rows).to_have_count(20)
    page.get_by_label("Title or source").fill("PART 2")
    expect(rows).to_have_count(5)
    shoot(page, "documents-filtered")
    page.reload()
    expect(page.get_by_label("Title or source")).to_have_value("PART 2")
    expect(rows).to_have_count(5)
    page.get_by_label("In collection").select_option("letters")
    expect(page.locator("#documents-list")).to_contain_text("No document fits.")
    page.get_by_label("Title or source").fill("")
    page.get_by_label("State").select_option("failed")
    expect(rows).to_have_text([re.compile("scanned-letter.pdf")])
    page.get_by_role("link", name="Status").click()
    page.go_back()
    expect(page.get_by_label("State")).to_have_value("failed")
    expect(rows).to_have_text([re.compile("scanned-letter.pdf")])


def test_reload_and_back_keep_the_page_of_the_library(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/#documents")
    rows = page.locator("#documents-list .row")
    expect(rows).to_have_count(20)
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("Page 2", exact=True)).to_be_visible()
    second = rows.all_inner_texts()
    page.reload()
    expect(page.get_by_text("Page 2", exact=True)).to_be_visible()
    assert rows.all_inner_texts() == second
    page.go_back()
    expect(page.get_by_text("Page 1", exact=True)).to_be_visible()


def test_warnings_of_a_document_are_shown(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/#documents?q=minutes-2025")
    expect(page.locator("#documents-list .row")).to_contain_text("Page 2 has no text (of 3 pages)")
