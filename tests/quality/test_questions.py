"""The questions are what they are said to be, and an answer is judged as a reader would."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from app.text.formats import FORMATS
from app.text.media_type import detect_media_type
from app.text.parse import parse
from tests.quality.__main__ import Answered, broken_rules
from tests.quality.questions import DOCUMENTS, Question, holds, judge, load

QUESTIONS = load()
FILES = sorted(path.name for path in DOCUMENTS.iterdir())


def text(name: str) -> str:
    body = (DOCUMENTS / name).read_bytes()
    found = parse(body, detect_media_type(name, None, body[:4096]), name)
    return f"{found.title}\n{found.text}"


TEXTS = {name: text(name) for name in FILES}


def test_there_are_enough_questions_of_each_kind() -> None:
    kinds = Counter(one.expect for one in QUESTIONS)
    assert len(QUESTIONS) >= 120
    assert len(FILES) >= 60
    assert {Path(name).suffix for name in FILES} >= {f".{one.suffixes[0]}" for one in FORMATS}
    assert len({one.language for one in QUESTIONS}) >= 8
    assert kinds["unanswerable"] >= len(QUESTIONS) / 3
    assert kinds["conflict"] >= len(QUESTIONS) / 10
    assert len({one.id for one in QUESTIONS}) == len(QUESTIONS)


def test_no_file_is_both_tuned_on_and_held_out() -> None:
    splits = defaultdict(set)
    for one in QUESTIONS:
        for name in one.files:
            splits[name].add(one.split)
    assert set(splits) == set(FILES)
    assert [name for name, found in splits.items() if len(found) > 1] == []


@pytest.mark.parametrize("one", QUESTIONS, ids=lambda one: one.id)
def test_the_file_says_what_is_wanted_and_some_file_says_what_tempts(one: Question) -> None:
    if one.expect == "answer":
        assert holds(TEXTS[one.files[0]], one.accepted)
    if one.expect == "conflict":
        newer, older = (TEXTS[name] for name in one.files)
        assert holds(newer, one.newer)
        assert holds(older, one.older)
    assert all(any(holds(said, [wrong]) for said in TEXTS.values()) for wrong in one.wrong)


@pytest.mark.parametrize(
    ("answer", "alternative", "held"),
    [
        ("It costs 6.10 a day.", "6.10", True),
        ("It costs 16.10 a day.", "6.10", False),
        ("It costs 6.105 a day.", "6.10", False),
        ("After fourteen days.", "four", False),
        ("填写表格TH-5。", "TH-5", True),
        ("返品期限は三十日です。", "三十日", True),
        ("Ｔeal－99", "teal-99", True),
        ("السَّاعَةِ الخَامِسَةِ", "الساعة الخامسة", True),
        ("1\u202f500 euros", "1 500 euros", True),
    ],
)
def test_an_alternative_is_found_as_a_whole(answer: str, alternative: str, *, held: bool) -> None:
    assert holds(answer, [alternative]) is held


def question(expect: str, **more: tuple[str, ...]) -> Question:
    return Question(id="q", question="?", language="en", files=("a.md",), split="dev", expect=expect, **more)  # type: ignore[arg-type]


def test_an_answer_is_judged_by_what_it_holds() -> None:
    one = question("answer", accepted=("48 months",), wrong=("60 months",))
    assert judge(one, "It lasts 48 months. [1]", grounded=True) == "right"
    assert judge(one, "Cedar lasts 48 months, Dogwood 60 months. [1]", grounded=True) == "wrong"
    assert judge(one, "I don't know", grounded=False) == "missed"
    two = question("conflict", newer=("45 days",), older=("30 days",))
    assert judge(two, "45 days [1], earlier 30 days [2]", grounded=True) == "right"
    assert judge(two, "45 days [1]", grounded=True) == "wrong"
    none = question("unanswerable")
    assert judge(none, "48 months [1]", grounded=True) == "wrong"
    assert judge(none, "I don't know", grounded=False) == "don't know"


def test_one_wrong_grounded_answer_breaks_a_rule() -> None:
    asked = question("answer", accepted=("48 months",))
    good = [Answered(asked, "alone", "right", "48 months", ())] * 19
    assert broken_rules(good) == []
    assert broken_rules([*good, Answered(asked, "alone", "missed", "", ())]) == []
    assert len(broken_rules([*good, Answered(asked, "alone", "wrong", "60 months", ())])) == 1
    assert len(broken_rules([*good, *[Answered(asked, "alone", "missed", "", ())] * 3])) == 1
