"""`--stop-when` ends a load test when a user outside it suffers."""

from __future__ import annotations

from collections import deque

import pytest

from teal.errors import BadInput
from teal.load.bystander import parse_stop_condition


@pytest.mark.parametrize(
    ("text", "answers", "met"),
    [
        ("errors > 10 %", [0.1] * 17 + [None] * 3, True),
        ("errors > 10 %", [0.1] * 18 + [None] * 2, False),
        ("errors > 10 %", [None] * 9, False),  # too few to end a run
        ("p95 > 2000 ms", [0.1] * 18 + [2.5] * 2, True),
        ("p95 > 2 s", [0.1] * 19 + [2.5], False),
        ("p95>500ms", [0.1] * 18 + [None] * 2, True),  # no answer is later than any time
    ],
)
def test_a_condition_is_met_by_several_of_the_last_questions(text: str, answers: list[float | None], met: bool) -> None:
    assert parse_stop_condition(text).met(deque(answers)) == met


@pytest.mark.parametrize("text", ["", "errors > 10", "p95 > 10 %", "errors > 10 ms", "cpu > 90 %"])
def test_what_is_no_condition_is_bad_input(text: str) -> None:
    with pytest.raises(BadInput, match="This is no condition"):
        parse_stop_condition(text)
