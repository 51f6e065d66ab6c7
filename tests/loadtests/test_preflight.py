"""What is asked before any load is sent."""

from __future__ import annotations

import json

import httpx
import pytest

from loadtests import preflight
from loadtests.questions import Question

REAL = httpx.Client


@pytest.mark.parametrize(("known", "refused"), [(10, False), (5, False), (4, True), (0, True)])
def test_questions_about_other_documents_are_refused_before_they_count_as_failures(
    monkeypatch: pytest.MonkeyPatch, known: int, refused: bool
) -> None:
    asked = [Question(text=f"question {number}") for number in range(10)]
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
