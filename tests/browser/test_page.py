"""The rest of the page: signing in, search, documents, status, and what holds everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, FilePayload, Page, expect

from tests.browser.conftest import Service, start

pytestmark = [pytest.mark.browser, pytest.mark.integration]
Shoot = Callable[[Page, str], None]
TABS = ("ask", "search", "documents", "status")


def a_file(name: str, size_bytes: int = 1200) -> FilePayload:
    return {"name": name, "mimeType": "text/plain", "buffer": b"x" * size_bytes}


# Signing in


def test_key_in_the_link_signs_in_and_leaves_address_and_history(page: Page, context: BrowserContext, service_of: Callable[..., Service]) -> None:
    url = service_of().url
    page.goto(f"{url}/#key=teal_reader_secret")
    expect(page.get_by_role("heading", name="Ask your documents")).to_be_visible()
    assert page.url == f"{url}/#ask"
    assert page.evaluate("history.length") <= 2
    assert page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]") == ["", 0, 0]
    cookie = next(cookie for cookie in context.cookies() if cookie["name"] == "teal_session")
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Strict")


def test_wrong_key_says_what_to_do_and_the_right_one_then_works(page: Page, service_of: Callable[..., Service], shoot: Shoot) -> None:
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


def test_ended_session_asks_to_sign_in_and_keeps_what_was_typed(page: Page, context: BrowserContext, service_of: Callable[..., Service]) -> None:
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


# Search


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


def test_failed_search_shows_the_problem_and_retries(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/#search")
    page.get_by_role("searchbox").fill("overload")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The search engine does not answer")
    page.get_by_role("searchbox").fill("file")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".hit")).to_have_count(3)


# Documents


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


# Status


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


def test_status_of_a_dead_service_keeps_the_last_numbers_and_says_how_old(page: Page, service_of: Callable[..., Service]) -> None:
    service = service_of("--role", "reader")
    page.goto(f"{service.url}/#status")
    expect(page.locator(".facts")).to_be_visible()
    service.kill()
    expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached", timeout=15_000)  # read every 5 s
    expect(page.get_by_text("The numbers below are from")).to_be_visible()


# Everywhere


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


STATES = ("sign-in", "ask", "passage", "search", "documents", "status", "error-page")


@pytest.fixture(scope="module")
def locked() -> Iterator[Service]:
    """Everybody needs to sign in."""
    running = start()
    yield running
    running.kill()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_no_serious_accessibility_violation(browser: Browser, service: Service, locked: Service, shoot: Shoot, state: str, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce", viewport={"width": 1200, "height": 860})
    page = context.new_page()
    goto_state(page, service.url, state, locked.url)
    shoot(page, f"{state}-{scheme}")
    # axe is injected by the driver, past the page's own policy
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).response
    serious = [(v["id"], v["impact"], [n["target"] for n in v["nodes"]][:3]) for v in found["violations"] if v["impact"] in ("serious", "critical")]
    assert found["passes"], "axe checked nothing"
    assert serious == []
    context.close()


@pytest.mark.parametrize("state", STATES)
def test_phone_of_360_pixels_needs_no_sideways_scrolling(browser: Browser, service: Service, locked: Service, shoot: Shoot, state: str) -> None:
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
    def background(scheme: str) -> int:
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
