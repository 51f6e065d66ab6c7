"""The page on the service itself (SQLite, embedded search, no model), so that the stand-in cannot drift from it unseen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.conftest import Shoot
from tests.browser.real_service import running

pytestmark = [pytest.mark.browser, pytest.mark.integration]
INGEST_MS = 30_000  # the worker polls each second; a busy machine takes several
TEXT = (
    "Text files are iterable by line. Iterating over a file object yields one line at a time, "
    "so the whole file is never held in memory.\n\n"
    "The with statement closes the file when the block is left, even after an error.\n"
)


@pytest.fixture
def link(tmp_path: Path) -> Iterator[str]:
    """The sign-in link of a running app with its worker, for a writer."""
    with running(tmp_path, "writer") as service:
        yield service.link


def test_uploaded_file_answers_a_question_and_a_broken_one_says_why(page: Page, link: str, shoot: Shoot) -> None:
    page.goto(link)
    expect(page.get_by_text("page · writer")).to_be_visible()
    page.get_by_role("link", name="Documents").click()
    expect(page.get_by_text("No documents yet.")).to_be_visible()
    good: FilePayload = {"name": "files.txt", "mimeType": "text/plain", "buffer": TEXT.encode()}
    broken: FilePayload = {"name": "broken.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 nothing here"}
    page.locator("#files").set_input_files([good, broken])
    uploads = page.get_by_label("Uploads").get_by_role("listitem")
    expect(uploads.filter(has_text="files.txt")).to_contain_text("Indexed", timeout=INGEST_MS)
    expect(uploads.filter(has_text="broken.pdf")).to_contain_text("Failed", timeout=INGEST_MS)
    expect(uploads.filter(has_text="broken.pdf")).to_contain_text("broken.pdf' is broken")

    page.get_by_role("link", name="Ask").click()
    page.get_by_label("Your question").fill("How is a file read one line at a time?")
    page.keyboard.press("Enter")
    expect(page.locator(".answer-foot")).to_contain_text("no language model")
    expect(page.locator(".prose")).to_contain_text("Iterating over a file object yields one line at a time")
    page.locator(".cite").first.click()
    expect(page.get_by_role("dialog", name="files.txt")).to_contain_text("The with statement closes the file")
    page.keyboard.press("Escape")
    shoot(page, "real-answer")

    page.get_by_role("link", name="Search").click()
    page.get_by_label("Explain scores").check()
    page.get_by_role("searchbox").fill("with statement")
    page.keyboard.press("Enter")
    expect(page.locator(".hit mark").first).to_be_visible()
    expect(page.locator(".explain").first).to_contain_text("rank 1")

    page.get_by_role("link", name="Status").click()
    expect(page.get_by_text("Lexical only", exact=True)).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
