"""What is asked before any load is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count

import httpx
import pytest

from loadtests import preflight
from loadtests.questions import LoadQuestion

REAL = httpx.Client


@pytest.mark.parametrize(("known", "refused"), [(10, False), (5, False), (4, True), (0, True)])
def test_questions_about_other_documents_are_refused_before_they_count_as_failures(
    monkeypatch: pytest.MonkeyPatch, known: int, refused: bool
) -> None:
    asked = [LoadQuestion(text=f"question {number}") for number in range(10)]
    answered = {one.text for one in asked[:known]}

    def answer(request: httpx.Request) -> httpx.Response:
        hit = json.loads(request.content)["query"] in answered
        return httpx.Response(200, json={"hits": [{"source": "x"}] if hit else []})

    monkeypatch.setattr(
        httpx, "Client", lambda **options: REAL(base_url=options["base_url"], transport=httpx.MockTransport(answer))
    )
    if refused:
        with pytest.raises(preflight.NotReady, match=f"{known} of 10 questions find anything"):
            preflight.check("http://x", None, {}, asked)
    else:
        assert f"{known} with hits" in preflight.check("http://x", None, {}, asked)


def client(monkeypatch: pytest.MonkeyPatch, answer: Callable[[httpx.Request], httpx.Response]) -> None:
    monkeypatch.setattr(preflight, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(
        httpx, "Client", lambda **options: REAL(base_url=options["base_url"], transport=httpx.MockTransport(answer))
    )


def test_a_degraded_service_can_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """One bad answer of twenty, and one question that is never answered."""
    asked = [LoadQuestion(text=f"question {number}") for number in range(20)]
    seen = count()

    def answer(request: httpx.Request) -> httpx.Response:
        broken = json.loads(request.content)["query"] == "question 7" or next(seen) == 3
        return httpx.Response(503, text="busy") if broken else httpx.Response(200, json={"hits": [{"source": "x"}]})

    client(monkeypatch, answer)
    said = preflight.check("http://x", None, {}, asked)
    assert said == "20 questions, 19 with hits, 0 with their source among the first 10; 1 were not answered, such as: 503: busy"


@pytest.mark.parametrize(("status", "said"), [(401, "refuses the key"), (503, "answers no search: 503")])
def test_a_wrong_key_and_a_service_that_answers_nothing_are_refused(
    monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    client(monkeypatch, lambda _: httpx.Response(status))
    with pytest.raises(preflight.NotReady, match=said):
        preflight.check("http://x", None, {}, [LoadQuestion(text="q")] * 5)
