"""An OpenAI-compatible endpoint on loopback that says what a test tells it to, as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.services.http_stand_in import Handler, listening


@dataclass
class ScriptedModel:
    """`says` is its next answer. With `refuses` it refuses requests that have this parameter, as newer models refuse `max_tokens`."""

    says: str = ""
    refuses: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""


@contextmanager
def scripted_model() -> Iterator[ScriptedModel]:
    """Serves until the end of the block."""
    model = ScriptedModel()

    class Model(Handler):
        def do_POST(self) -> None:
            body = json.loads(self.received())
            model.asked.append(body)
            if model.refuses and model.refuses in body:
                said = f"Unsupported parameter: '{model.refuses}' is not supported with this model."
                self.answer(
                    400,
                    json.dumps({"error": {"message": said, "param": model.refuses}}).encode(),
                    content_type="application/json",
                )
                return
            pieces = [model.says[start : start + 7] for start in range(0, len(model.says), 7)]
            events = [json.dumps({"choices": [{"delta": {"content": piece}}]}) for piece in pieces]
            self.answer(
                body="".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode(), content_type="text/event-stream"
            )

    with listening(Model) as port:
        model.url = f"http://127.0.0.1:{port}/v1"
        yield model
