"""Answers said in other words than the question: taken when a cross-encoder is sure, and never when a name or a number is another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from app.answering.answer import DONT_KNOW, Done, answer
from app.answering.extractive_writer import ExtractiveWriter
from app.answering.nearest import NearestSentence, nearest
from app.answering.prompt import PromptSource
from app.answering.question import read_question
from app.errors import ModelUnavailable

HANDBOOK = "Equipment is handed out on the first day. A lost device is reported to the service desk within two hours."
STOLEN = "My laptop got stolen on the train. How quickly must I tell someone about the device?"
ANSWER = "A lost device is reported to the service desk within two hours."
LOW = -8.0  # a score as of a text that has nothing to do with the question


class Scores:
    """A cross-encoder that gives what the test says to texts that end so, and little to all others. `without`: by question."""

    def __init__(self, scores: Mapping[str, float], *, without: Mapping[str, float] | None = None, fails: bool = False) -> None:
        self._scores, self._without, self._fails = scores, without or {}, fails

    def reads(self, text: str) -> bool:
        return text.isascii()

    async def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        if self._fails:
            raise ModelUnavailable("the file is damaged")
        return [
            self._without.get(question, next((score for end, score in self._scores.items() if text.endswith(end)), LOW))
            for text in texts
        ]


def source(n: int, title: str, text: str) -> PromptSource:
    return PromptSource(n, title, text, f"d{n}", "", "", "", "")


async def said(question: str, sources: Sequence[PromptSource], model: Scores | None) -> Done:
    writer = ExtractiveWriter(None, model)
    events = [event async for event in answer(read_question(question), sources, None, writer)]
    assert isinstance(events[-1], Done)
    return events[-1]


@pytest.mark.anyio
async def test_an_answer_in_other_words_is_quoted_when_the_model_is_sure() -> None:
    sources = [source(1, "Handbook", HANDBOOK)]
    assert (await said(STOLEN, sources, None)).answer == DONT_KNOW
    told = await said(STOLEN, sources, Scores({ANSWER: 6.0}))
    assert told.grounded
    assert told.answer == f"{ANSWER} [1]"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Scores({ANSWER: 4.0, "first day.": 2.5}), "another piece is nearly as near"),
        (Scores({ANSWER: 1.9}), "it is near, and not near enough"),
        (Scores({ANSWER: 6.0, "Handbook.": 1.0}), "the title alone matches as well"),
        (Scores({ANSWER: 6.0}, fails=True), "the model cannot be loaded"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
async def test_nothing_is_quoted_when(model: Scores, why: str) -> None:
    assert (await said(STOLEN, [source(1, "Handbook", HANDBOOK)], model)).answer == DONT_KNOW, why


@pytest.mark.anyio
async def test_a_piece_that_stands_out_from_every_other_one_needs_less() -> None:
    assert (await said(STOLEN, [source(1, "Handbook", HANDBOOK)], Scores({ANSWER: 2.5}))).grounded


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("When does the Saltmarsh orchestra meet each week?", "The Saltmarsh choir meets every Tuesday until 21:45."),
        ("What do I pay for 3 visits to the pool?", "For a visit to the pool you give 5 pounds at the desk."),
        ("How long may Pedro keep a borrowed drill?", "A borrowed drill goes back after seven days at the latest."),
    ],
    ids=["another named thing", "a number that is not there", "a name that is not there"],
)
async def test_the_model_never_outvotes_a_name_or_a_number(question: str, text: str) -> None:
    assert not (await said(question, [source(1, "Notes", f"We are glad. {text}")], Scores({text: 9.0}))).grounded


@pytest.mark.anyio
async def test_a_word_that_keeps_the_question_away_makes_it_another_thing() -> None:
    """Without "parental" the question comes much nearer to the piece: that word is what is not answered."""
    text = "Leave is requested four weeks before it begins."
    asked = "When must parental leave be requested at the latest?"
    near = Scores({text: 5.0}, without={"When must leave be requested at the latest?": 8.0})
    assert not (await said(asked, [source(1, "Holidays", f"Hello all. {text}")], near)).grounded


@pytest.mark.anyio
async def test_what_comes_nearest_is_chosen_by_the_model_best_first() -> None:
    sources = [source(1, "Lunch", "Lunch is at noon. The device room is open."), source(2, "Handbook", HANDBOOK)]
    told = await nearest(read_question(STOLEN), sources, None, Scores({ANSWER: 1.0, "room is open.": -2.0}))
    assert told == [NearestSentence(2, ANSWER), NearestSentence(1, "The device room is open.")]


@pytest.mark.anyio
async def test_a_question_in_another_language_is_left_to_words() -> None:
    text = "Ein verlorenes Gerät wird binnen zwei Stunden gemeldet."
    assert not (await said("Wie schnell muss ich Bescheid geben?", [source(1, "Buch", text)], Scores({text: 9.0}))).grounded


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("question", "text", "quoted"),
    [
        (
            "What must visitors with a boat bring along?",
            "Visitors with a boat hand over these papers:\n\n- a passport\n- the licence of the boat",
            "these papers:",
        ),
        ("Which expenses are not refunded to staff who travel?", "Staff on a journey get hotel expenses back.", "back."),
        (
            "What did tenants pay before the lift was built?",
            "Since and after the works each of the tenants gives 800 euros.",
            "euros.",
        ),
        (
            "Where are old bicycles kept and where is the caretaker found?",
            "Ask the caretaker at the desk of house 4.",
            "house 4.",
        ),
    ],
    ids=["a line that announces a list", "a negation that is not there", "the opposite in time", "the half of two questions"],
)
async def test_a_piece_that_says_something_else_is_not_quoted(question: str, text: str, quoted: str) -> None:
    assert not (await said(question, [source(1, "Notes", f"We are glad. {text}")], Scores({quoted: 9.0}))).grounded


@pytest.mark.anyio
async def test_what_an_email_quotes_gives_way_to_its_own_words() -> None:
    text = (
        "From: Ben\nTo: all\nSubject: Feast\n\nIt takes place on 14 July instead.\n\nOn 4 June 2026 Ann wrote:\n"
        "> The summer celebration will be held on 7 July.\n"
    )
    model = Scores({"on 7 July.": 6.0, "14 July instead.": 3.0})
    assert "7 July." not in (await said("On what date is the summer party held?", [source(1, "Feast.eml", text)], model)).answer


@pytest.mark.anyio
async def test_two_documents_that_disagree_are_not_told_as_one_answer() -> None:
    library = source(1, "House rules", "Books go back to the shelf after 14 days.")
    school = source(2, "School letter", "Every book is returned within 30 days.")
    model = Scores({"after 14 days.": 6.0, "within 30 days.": 5.9})
    asked = "How many days may I keep a borrowed book?"
    assert not (await said(asked, [library, school], model)).grounded
    assert (await said(asked, [library], model)).grounded


@pytest.mark.anyio
async def test_one_sentence_about_the_subject_is_no_answer_to_yes_or_no() -> None:
    text = "The reading room has twelve seats and a printer."
    assert not (await said("Are dogs permitted in the reading room?", [source(1, "Rooms", text)], Scores({text: 2.5}))).grounded


@pytest.mark.anyio
async def test_a_long_question_costs_no_more_calls_than_a_short_one() -> None:
    class Counting(Scores):
        calls = 0

        async def scores(self, question: str, texts: Sequence[str]) -> list[float]:
            self.calls += 1
            return await super().scores(question, texts)

    model = Counting({ANSWER: 9.0})
    words = " ".join(f"word{chr(97 + number % 26)}{chr(97 + number // 26)}" for number in range(200))
    await said(f"{STOLEN} {words}?", [source(1, "Handbook", HANDBOOK)], model)
    assert model.calls < 10


FILM = "For a film ask the press desk two weeks ahead."
BOATS = "Members of the club may borrow a boat and a trailer from the shed for seven days."


@pytest.mark.anyio
@pytest.mark.parametrize(("score", "quoted"), [(-6.5, False), (-4.0, True)])
async def test_a_sentence_that_only_shares_words_with_the_question_is_no_answer(score: float, quoted: bool) -> None:
    asked, sources = "How early must I ask for a week off?", [source(1, "Press", f"We are glad. {FILM}")]
    assert (await said(asked, sources, None)).grounded, "words alone take it"
    assert (await said(asked, sources, Scores({FILM: score}))).grounded is quoted


@pytest.mark.anyio
@pytest.mark.parametrize(("title_alone", "quoted"), [(1.0, False), (-2.0, True)])
async def test_a_piece_that_lacks_a_word_is_no_answer_when_its_title_does_as_well(title_alone: float, quoted: bool) -> None:
    asked = "For how many days may members of the club borrow a boat, a trailer and a tent?"
    sources = [source(1, "Rules", f"We are glad. {BOATS}")]
    assert (await said(asked, sources, None)).grounded, "words alone take it"
    assert (await said(asked, sources, Scores({BOATS: 5.0, "Rules.": title_alone}))).grounded is quoted


@pytest.mark.anyio
async def test_what_words_find_is_quoted_while_the_model_cannot_be_used() -> None:
    sources = [source(1, "Press", f"We are glad. {FILM}")]
    assert (await said("How early must I ask for a week off?", sources, Scores({}, fails=True))).grounded
