"""The report of a load test, as a person opens it: from a file, in a browser, on a small screen and in the dark as well."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page

from loadtests import report
from tests.browser.conftest import Shoot
from tests.unit.loadtests.test_report import result

pytestmark = [pytest.mark.integration, pytest.mark.browser]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_report_of_two_runs_is_readable_on_every_screen_and_hides_nothing(
    page: Page, shoot: Shoot, tmp_path: Path, dark: bool
) -> None:
    path = tmp_path / "index.html"
    path.write_text(report.report_page(result(taken_ms=300), result(taken_ms=20)), encoding="utf-8")
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.goto(path.as_uri())
    assert page.locator("figure svg").count() >= 6  # three plots of each run
    shoot(page, f"load-report-{'dark' if dark else 'light'}")
    found = Axe().run(page).response
    assert found["passes"], "axe checked nothing"
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
