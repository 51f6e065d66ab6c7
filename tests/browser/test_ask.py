"""Asking: what a reader sees while an answer comes in, and when it does not."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Service, Shoot

pytestmark = [pytest.mark.browser, pytest.mark.integration]
SENTENCE = "Iterating over a file object yields one line at a time, so the whole file is never held in memory."


def ask(page: Page, url: str, question: str) -> None:
    page.goto(f"{url}/#ask")
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def test_keyboard_alone_asks_opens_the_cited_passage_and_comes_back(page: Page, service: Service, shoot: Shoot) -> None:
    page.goto(service.url)
    expect(page.get_by_role("heading", name="Ask your documents")).to_be_visible()
    shoot(page, "ask-empty")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "question":
            break
    page.keyboard.type("How do I read a large file line by line?")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Extracted from the sources, no language model")).to_be_visible()
    expect(page.locator(".prose")).to_have_text(re.compile(re.escape(SENTENCE) + r" \[1\] This is memory efficient.*\[2\]", re.S))
    shoot(page, "ask-answer")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('cite')"):
            break
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="io: Core tools for working with streams")
    expect(dialog).to_be_visible()
    expect(dialog.locator("mark")).to_have_text(SENTENCE)
    expect(dialog.get_by_role("link", name="https://docs.example.org/library/io.html")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "passage-title"
    shoot(page, "ask-passage")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert page.evaluate("document.activeElement.textContent") == "[1]"


def test_sources_are_listed_with_their_numbers_and_open(page: Page, service: Service) -> None:
    ask(page, service.url, "lines")
    second = page.get_by_role("listitem").filter(has_text="Tutorial: Reading and writing files").get_by_role("button")
    second.click()
    expect(page.get_by_role("dialog")).to_contain_text("loop over the file object")
    expect(page.get_by_role("dialog")).to_contain_text("Source 2")
    page.get_by_role("button", name="Close the passage").click()
    expect(second).to_be_focused()


def test_answer_is_announced_once_when_it_is_whole(page: Page, service: Service) -> None:
    page.goto(service.url)
    page.evaluate("""window.said = []; new MutationObserver(() => said.push(document.getElementById('announcer').textContent))
        .observe(document.getElementById('announcer'), {childList: true, characterData: true, subtree: true})""")
    page.get_by_role("button", name="How do I restrict a view to logged in users?").click()
    expect(page.get_by_role("button", name="Copy answer")).to_be_visible()
    said = page.evaluate("said")
    assert len(said) == 3
    assert said[1].startswith("Found 3 passages")
    assert said[2].startswith(f"Answer: {SENTENCE}")
    assert said[2].endswith("2 sources.")


def test_words_are_shown_as_they_come_and_those_without_a_source_are_taken_back(page: Page, service: Service) -> None:
    ask(page, service.url, "uncited")
    answer = page.locator(".prose")
    for shown in (
        "😀 Files are made of paper.",
        "One line is read at a time [Source 1].",
        "One line is read at a time [1]. No doubt",
    ):
        expect(answer).to_have_text(shown)
        page.request.post(f"{service.url}/go-on")
    expect(page.get_by_text("Written by a model.")).to_be_visible()
    expect(answer).to_have_text("One line is read at a time [1].")
    expect(answer.get_by_role("button", name="Source 1")).to_be_enabled()


def test_words_that_were_not_checked_do_not_stay_when_the_reader_stops(page: Page, service: Service) -> None:
    ask(page, service.url, "uncited")
    expect(page.locator(".prose")).to_have_text("😀 Files are made of paper.")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped.", exact=False).first).to_be_visible()
    expect(page.locator(".prose")).to_have_text("")


def test_ungrounded_answer_says_so(page: Page, service: Service, shoot: Shoot) -> None:
    ask(page, service.url, "nothing to find")
    expect(page.get_by_text("Not grounded in your documents", exact=True)).to_be_visible()
    expect(page.locator(".sources li")).to_have_count(0)
    shoot(page, "ask-not-grounded")


def test_ungrounded_answer_shows_the_nearest_passages_also_after_a_reload(page: Page, service: Service, shoot: Shoot) -> None:
    ask(page, service.url, "only near")
    nearest = page.get_by_role("heading", name="Nearest passages, which may be about something else")
    expect(nearest).to_be_visible()
    expect(page.locator(".sources:visible li")).to_have_count(3)
    shoot(page, "ask-nearest")
    page.reload()
    expect(nearest).to_be_visible()
    page.locator(".sources:visible li button").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()


def test_degraded_retrieval_is_told(page: Page, service: Service) -> None:
    ask(page, service.url, "words only please")
    expect(page.locator("article")).to_contain_text("No embedding model is available, so only words were searched.")


def test_stop_ends_the_stream_and_says_that_the_answer_is_not_whole(
    page: Page, service_of: Callable[..., Service], shoot: Shoot
) -> None:
    service = service_of("--role", "reader")
    ask(page, service.url, "slow please")
    expect(page.locator(".prose")).to_contain_text("Iterating over")
    expect(page.locator("article")).to_have_attribute("aria-busy", "true")
    shoot(page, "ask-streaming")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("What stands above is not the whole answer")).to_be_visible()
    expect(page.get_by_label("Your question")).to_be_focused()
    expect(page.get_by_label("Your question")).to_have_value("slow please")
    before = page.locator(".prose").text_content()
    deadline = time.monotonic() + 10
    while page.request.get(f"{service.url}/stops").json()["stopped"] != 1:
        assert time.monotonic() < deadline, "the service still works on an answer nobody wants"
        page.wait_for_timeout(100)
    assert page.locator(".prose").text_content() == before


def test_error_in_the_stream_keeps_the_text_and_shows_what_to_do(page: Page, service: Service, shoot: Shoot) -> None:
    ask(page, service.url, "this fails")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The language model does not answer")
    expect(alert).to_contain_text("Try again shortly; search still works.")
    expect(alert).to_contain_text("req-stream-1")
    expect(page.locator(".prose")).to_contain_text("Iterating over")
    expect(page.get_by_text("What stands above is not the whole answer")).to_be_visible()
    shoot(page, "ask-error")
    alert.get_by_role("button", name="Ask again").click()
    expect(page.locator("article")).to_have_count(2)


def test_refused_question_shows_detail_action_and_request_id(page: Page, service: Service) -> None:
    ask(page, service.url, "overload")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Elasticsearch gave no answer within 2.0 s.")
    expect(alert.locator("code").first).to_have_text("teal status")
    expect(alert).to_contain_text(re.compile("Request id req-[0-9a-f]{8}"))


@pytest.mark.parametrize("how", ["killed", "cut"])
def test_service_gone_in_the_middle_of_an_answer_is_told_with_a_way_on(
    page: Page, service_of: Callable[..., Service], shoot: Shoot, how: str
) -> None:
    service = service_of("--role", "reader")
    ask(page, service.url, "slow please" if how == "killed" else "cut")
    expect(page.locator(".prose")).to_contain_text("Iterating over")
    if how == "killed":
        service.kill()
    expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached")
    expect(page.get_by_role("alert")).to_contain_text("before the answer was complete")
    expect(page.get_by_role("button", name="Ask again")).to_be_enabled()
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    shoot(page, f"ask-service-{how}")


def test_silence_of_three_heartbeats_counts_as_gone(page: Page, service: Service) -> None:
    page.clock.install()
    ask(page, service.url, "silent")
    expect(page.locator(".prose")).to_contain_text("Iterating over a")
    page.clock.fast_forward(44_000)
    expect(page.locator("article")).to_have_attribute("aria-busy", "true")
    page.clock.fast_forward(2_000)
    expect(page.get_by_role("alert")).to_contain_text("Nothing was heard for 45 seconds")


def test_copy_gives_question_answer_and_sources(page: Page, context: BrowserContext, service: Service) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=service.url)
    ask(page, service.url, "How do I copy?")
    page.get_by_role("button", name="Copy answer").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("How do I copy?\n\nIterating over")
    assert copied.endswith("Sources\n[1] io: Core tools for working with streams\n[2] Tutorial: Reading and writing files")


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (["event: token\r\ndata: 1\r", "\n\r\n"], [{"event": "token", "data": "1"}]),
        ([": heartbeat\n\n", "data: a\ndata: b\n\n"], [{"event": "message", "data": "a\nb"}]),
        (["event: to", "ken\ndata: {\"x\": 1}\n\nevent: done\n", "data: 2\n\n"], [{"event": "token", "data": '{"x": 1}'}, {"event": "done", "data": "2"}]),
        (["event: lost\ndata: never ended"], []),
    ],
)  # fmt: skip
def test_event_stream_is_read_whatever_its_pieces(
    page: Page, service: Service, chunks: list[str], expected: list[dict[str, str]]
) -> None:
    page.goto(service.url)
    read = page.evaluate(
        """async (chunks) => {
            const { events } = await import("/static/api.js");
            const body = new ReadableStream({ start(c) { for (const p of chunks) c.enqueue(new TextEncoder().encode(p)); c.close(); } });
            const seen = []; for await (const event of events(body)) seen.push(event); return seen; }""",
        chunks,
    )
    assert read == expected


def test_reload_keeps_questions_answers_draft_and_collection(page: Page, service: Service, shoot: Shoot) -> None:
    for number, question in enumerate(("first lines", "nothing to find"), start=1):
        ask(page, service.url, question)
        expect(page.get_by_role("button", name="Copy answer")).to_have_count(number)
    page.get_by_label("Ask in").select_option("letters")
    page.get_by_label("Your question").fill("half a quest")
    before = page.locator(".prose").all_inner_texts()
    page.reload()
    expect(page.locator("article .question")).to_have_text(["nothing to find", "first lines"])
    assert page.locator(".prose").all_inner_texts() == before
    expect(page.get_by_text("Not grounded in your documents", exact=True)).to_have_count(1)
    expect(page.get_by_label("Your question")).to_have_value("half a quest")
    expect(page.get_by_label("Ask in")).to_have_value("letters")
    shoot(page, "ask-reloaded")
    page.locator(".cite").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("Text files are iterable by line.")


def test_answer_that_a_reload_cut_off_says_so(page: Page, service: Service) -> None:
    ask(page, service.url, "slow please")
    expect(page.locator(".prose")).to_contain_text("Iterating over")
    page.reload()
    expect(page.locator("article")).to_contain_text("This answer was not finished.")
    expect(page.get_by_role("button", name="Ask again")).to_be_enabled()


def test_new_conversation_forgets_the_answers(page: Page, service: Service) -> None:
    ask(page, service.url, "lines")
    expect(page.get_by_role("button", name="Copy answer")).to_be_visible()
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator("article")).to_have_count(0)
    expect(page.get_by_label("Your question")).to_be_focused()
    page.reload()
    expect(page.get_by_role("button", name="How do I restrict a view to logged in users?")).to_be_visible()
    expect(page.locator("article")).to_have_count(0)


def test_question_is_asked_in_the_chosen_collection(page: Page, service_of: Callable[..., Service]) -> None:
    service = service_of("--role", "reader")
    page.goto(f"{service.url}/#ask")
    page.get_by_label("Ask in").select_option("letters")
    ask(page, service.url, "lines")
    expect(page.get_by_role("button", name="Copy answer")).to_be_visible()
    assert page.request.get(f"{service.url}/asked").json()[0]["filters"] == {"collections": ["letters"]}


def test_markdown_of_an_answer_is_shown_and_nothing_in_it_acts(page: Page, service: Service, shoot: Shoot) -> None:
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    ask(page, service.url, "markdown")
    expect(page.get_by_role("button", name="Copy answer")).to_be_visible()
    prose = page.locator(".prose")
    expect(prose.locator("strong code")).to_have_text("with")
    expect(prose.locator("em")).to_have_text("loop")
    expect(prose.locator("li")).to_have_count(2)
    expect(prose.locator("td")).to_have_text(["loop", "small", "read", "large"])
    expect(prose.locator("pre")).to_have_text("for line in file:\n    print(line)  # [1] is code")
    expect(prose.locator(".cite")).to_have_text(["[1]", "[2]"])
    assert prose.locator("a").evaluate_all("links => links.map(link => link.href)") == ["https://docs.example.org/io"]
    expect(prose).to_contain_text("<b>No tag</b> picture")
    expect(prose).to_contain_text("[this](javascript:alert)")
    assert not [url for url in fetched if not url.startswith(service.url)]
    shoot(page, "ask-markdown")


def test_what_one_person_asked_is_not_shown_to_the_next(page: Page, service_of: Callable[..., Service]) -> None:
    service = service_of()
    page.goto(f"{service.url}/#key=teal_writer_secret")
    expect(page.get_by_label("Your question")).to_be_visible()
    ask(page, service.url, "lines")
    expect(page.get_by_role("button", name="Copy answer")).to_be_visible()
    page.goto(f"{service.url}/#key=teal_reader_secret")
    expect(page.get_by_text("tests · reader")).to_be_visible()
    expect(page.locator("article")).to_have_count(0)


def test_follow_up_is_asked_with_what_was_said_before(page: Page, service_of: Callable[..., Service]) -> None:
    service = service_of("--role", "reader")
    for number, question in enumerate(("How do I read lines?", "And is it fast?"), start=1):
        ask(page, service.url, question)
        expect(page.get_by_role("button", name="Copy answer")).to_have_count(number)
    first, second = page.request.get(f"{service.url}/asked").json()
    assert first["history"] == []
    assert [turn["role"] for turn in second["history"]] == ["user", "assistant"]
    assert second["history"][0]["content"] == "How do I read lines?"
    assert second["history"][1]["content"].startswith(SENTENCE)
