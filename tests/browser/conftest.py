"""Chromium and the stand-in service for the page's tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, FilePayload, Page, sync_playwright

from tests.services.ports import free_port
from tests.services.required import require

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "artifacts" / "screenshots"
START_SECONDS = 60  # importing FastAPI on a busy machine takes a few


Shoot = Callable[[Page, str], None]


def a_file(name: str, size_bytes: int = 1200) -> FilePayload:
    """A text file to choose for upload."""
    return {"name": name, "mimeType": "text/plain", "buffer": b"x" * size_bytes}


@dataclass
class Service:
    """A running stand-in; `kill` ends it as a crash would."""

    url: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def start(*flags: str) -> Service:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.browser.standin", "--port", str(port), *flags], cwd=ROOT)
    service = Service(f"http://127.0.0.1:{port}", process)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(service.url, timeout=1).close()
        except OSError:  # also an answer that is late or cut off, which is no URLError
            time.sleep(0.1)
        else:
            return service
    service.kill()
    raise RuntimeError(
        f"the stand-in did not start within {START_SECONDS} s; run it by hand: python -m tests.browser.standin --port {port}"
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    require("Chromium", "apt-get install chromium.", CHROMIUM is not None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Nobody needs to sign in: everybody is a writer."""
    running = start("--role", "writer")
    yield running
    running.kill()


@pytest.fixture
def service_of() -> Iterator[Callable[..., Service]]:
    """A service of its own for one test, started with the given flags."""
    running: list[Service] = []

    def make(*flags: str) -> Service:
        running.append(start(*flags))
        return running[-1]

    yield make
    for each in running:
        each.kill()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(
        viewport={"width": 1200, "height": 860}, reduced_motion="reduce", locale="en-GB", timezone_id="UTC"
    )
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """Fails the test when the page broke its own security policy or threw an error nobody caught."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
    page.on("console", lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None)
    yield page
    assert complaints == []


@pytest.fixture
def shoot() -> Shoot:
    """Saves a picture of a state to artifacts/screenshots/, for people to look at."""

    def save(page: Page, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}.png")

    return save
