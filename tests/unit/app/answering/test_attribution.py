"""What of a language model's words is believed, in every form that models write citations in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answering.answer import Done, PromptedWriter, answer
from app.answering.prompt import DONT_KNOW, PromptSource
from app.answering.question import read_question
from app.answering.reasoning import Reasoning
from tests.unit.app.answering.test_answer import ScriptedModel

pytestmark = pytest.mark.anyio

SOURCES = [
    PromptSource(1, "Drill", "The drill has a warranty of 55 months. It weighs 2,400 grams."),
    PromptSource(2, "Saw", "The saw has a warranty of thirty months. Run `saw --check` before use, approx. once a week."),
    PromptSource(3, "Yard", "The yard opens at nine."),
]


async def _answer(*pieces: str) -> Done:
    writer = PromptedWriter(ScriptedModel(*pieces), deadline_seconds=5)
    question = read_question("How long is the warranty of the drill?")
    *_, done = [event async for event in answer(question, SOURCES, 0.8, writer)]
    assert isinstance(done, Done)
    return done


@pytest.mark.parametrize(
    ("written", "sources"),
    [
        ("The warranty is long [1, 2].", (1, 2)),
        ("The warranty is long [1-3].", (1, 2, 3)),
        ("The warranty is long [1–2].", (1, 2)),
        ("The warranty is long 【1】.", (1,)),
        ("The warranty is long 【2†source】.", (2,)),
        ("The warranty is long [Source 1].", (1,)),
        ("The warranty is long [source 1, source 2].", (1, 2)),
        ("The warranty is long [^1].", (1,)),
        ("The warranty is long [[1]].", (1,)),
        ("The warranty is long (Source 2).", (2,)),
        ("The warranty is long [1][9].", (1,)),
        ("The warranty is long. [1]", (1,)),
    ],
)
async def test_every_form_of_citation_is_understood_and_shown_alike(written: str, sources: tuple[int, ...]) -> None:
    for pieces in ([written], list(written)):
        done = await _answer(*pieces)
        assert (done.cited, done.grounded) == (sources, True)
        assert done.answer.replace(" ", "").endswith(("".join(f"[{n}]" for n in sources) + ".", ".[1]"))


async def test_a_citation_at_the_end_of_a_paragraph_is_for_all_of_it() -> None:
    done = await _answer("The drill has a warranty. It lasts 55 months. [1]\n\nThe moon is far. The yard opens at nine [3].")
    assert done.answer == "The drill has a warranty. It lasts 55 months. [1]\n\n The yard opens at nine [3]."
    assert done.dropped == 1


@pytest.mark.parametrize(
    ("written", "grounded"),
    [
        ("The warranty is 55 months [1].", True),
        ("The warranty is 5500 months [1].", False),
        ("The warranty is 30 months [2].", True),  # "thirty" in the source
        ("It weighs 2400 grams [1].", True),  # 2,400
        ("It weighs 24 grams [1].", False),
        ("The warranty is 55 months [2].", False),  # another source's number
        ("1. The warranty is 55 months [1].", True),  # a list's number is no claim
    ],
)
async def test_a_number_that_the_cited_passage_does_not_hold_is_not_passed_on(written: str, grounded: bool) -> None:
    assert (await _answer(written)).grounded is grounded


@pytest.mark.parametrize(
    "written",
    ["I don't know [1].", "I don’t know: the documents do not say it [1][2].", "The sources do not mention the drill [1].", "Unfortunately, I cannot answer that [3]."],
)  # fmt: skip
async def test_not_knowing_with_a_citation_is_not_grounded(written: str) -> None:
    done = await _answer(written)
    assert (done.answer, done.grounded, done.cited) == (DONT_KNOW, False, ())


@pytest.mark.parametrize("tag", ["think", "thinking", "THINK", "reasoning"])
async def test_thoughts_are_never_shown_however_the_stream_is_cut(tag: str) -> None:
    written = f"<{tag}>The user asks about [1]. 55 months [1].</{tag}>\n\nThe warranty is 55 months [1]."
    for size in (1, 2, 3, 7, len(written)):
        done = await _answer(*(written[place : place + size] for place in range(0, len(written), size)))
        assert done.answer == "The warranty is 55 months [1]."


async def test_a_thought_that_never_ends_is_no_answer() -> None:
    assert not (await _answer("<think>The warranty is 55 months [1].")).grounded


@given(st.lists(st.text(alphabet="ab <>/think", max_size=7), max_size=20))
def test_what_is_shown_does_not_depend_on_how_the_stream_is_cut(pieces: list[str]) -> None:
    whole, parts = Reasoning(), Reasoning()
    together = whole.feed("".join(pieces)) + whole.rest()
    assert "".join(map(parts.feed, pieces)) + parts.rest() == together


async def test_code_tables_and_abbreviations_survive() -> None:
    code = "Run the check before use [2]:\n```sh\nsaw --check\n```\n"
    assert (await _answer(code)).answer == code.strip()
    table = "| Tool | Warranty |\n|---|---|\n| drill | 55 months [1] |\n| saw | 30 months [2] |\n"
    assert (await _answer(table)).answer == table.strip()
    short = "Check it approx. once a week [2]. Dr. Bit says e.g. nine [3]."
    assert (await _answer(short)).answer == short
