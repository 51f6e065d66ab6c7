"""The page on the service itself (SQLite, embedded search, no model), so that the stand-in cannot drift from it unseen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.conftest import ROOT, Shoot
from tests.services.ports import free_port

pytestmark = [pytest.mark.browser, pytest.mark.integration]
START_SECONDS = 90  # app and worker import DBOS and the models' runtime
INGEST_MS = 30_000  # the worker polls each second; a busy machine takes several
TEXT = (
    "Text files are iterable by line. Iterating over a file object yields one line at a time, "
    "so the whole file is never held in memory.\n\n"
    "The with statement closes the file when the block is left, even after an error.\n"
)


@pytest.fixture
def link(tmp_path: Path) -> Iterator[str]:
    """The sign-in link of a running app with its worker, for a writer."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TEAL_") and not name.endswith("_URL")}
    environment = {**inherited, "TEAL_STATE_DIR": str(tmp_path), "TEAL_EMBEDDING": "none", "TEAL_LOG_DIR": str(tmp_path / "logs")}

    def python(*arguments: str) -> list[str]:
        return [sys.executable, "-m", *arguments]

    def admin(*arguments: str) -> dict[str, str]:
        done = subprocess.run(
            python("app.admin", *arguments), cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
        return found

    admin("migrate")
    key = admin("keys", "create", "--role", "writer", "--name", "page")["key"]
    url = f"http://127.0.0.1:{free_port()}"
    parts = [
        subprocess.Popen(python(*arguments), cwd=ROOT, env=environment)
        for arguments in (("app.main", "--port", url.rpartition(":")[2]), ("app.worker",))
    ]
    try:
        _wait(url)
        yield f"{url}/#key={key}"
    finally:
        for part in parts:
            part.kill()
            part.wait()


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{url}/readyz", timeout=1).close()
        except OSError:  # also an answer that is late or cut off, which is no URLError
            assert time.monotonic() < deadline, f"the service was not ready within {START_SECONDS} s"
            time.sleep(0.2)
        else:
            return


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
    page.get_by_label("Your question").fill("What does iterating over a file object yield?")
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
