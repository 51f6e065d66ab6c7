"""The measure on fresh questions says what it claims."""

from __future__ import annotations

import pytest

from tests.quality.fresh.__main__ import HERE, Asked, outcome

ASKED = Asked(
    id="x", files=["a.md"], question="How long?", language="en", kind="answerable", must=["14 days"], any=[["free", "no charge"]],
    never=["30 days"], why="Returns are free within 14 days.",
)  # fmt: skip


@pytest.mark.parametrize(
    ("grounded", "answer", "nearest", "found"),
    [
        (True, "Free within **14\u00a0days**.", [], "right"),
        (True, "Free within 14 days, once 30 days.", [], "wrong"),
        (True, "Within 14 days.", [], "wrong"),
        (False, "I don't know", ["No charge", "within 14 days"], "near"),
        (False, "I don't know", ["Lunch is at noon."], "missed"),
    ],
)
def test_an_answer_is_judged_by_what_it_holds(grounded: bool, answer: str, nearest: list[str], found: str) -> None:
    said = {"grounded": grounded, "answer": answer, "nearest": [{"passage": one} for one in nearest]}
    assert outcome(ASKED, said) == found


@pytest.mark.parametrize(("grounded", "found"), [(True, "wrong"), (False, "don't know")])
def test_nothing_is_right_about_what_no_file_says(grounded: bool, found: str) -> None:
    absent = ASKED.model_copy(update={"kind": "absent", "must": [], "any": []})
    assert outcome(absent, {"grounded": grounded, "answer": "14 days", "nearest": []}) == found


@pytest.mark.parametrize(
    ("name", "questions"), [("tuned", 45), ("unseen", 45), ("second", 60), ("second-unseen", 60), ("third", 211)]
)
def test_every_question_names_files_that_are_there(name: str, questions: int) -> None:
    lines = (HERE / name / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [Asked.model_validate_json(line) for line in lines]
    files = {path.name for path in (HERE / name / "files").iterdir()}
    assert len(asked) == questions
    assert {one for each in asked for one in each.files} <= files
