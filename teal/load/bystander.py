"""The bystander: a simulated user outside a load test or drill, who asks once a second.
If its answers get too bad, `--stop-when` ends the run.

The load test's own requests say little about other users, because they are meant to become slow. The bystander opens a connection
for each question, as a new user does, and runs in another process than the load generator,
so that a late generator does not delay it.
"""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import httpx

from teal.errors import BadInput
from teal.load.place import LoadTarget

QUESTION: Final = "what users outside a test meet"
ASK_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 10.0
LAST: Final = 20  # questions that are judged together, so that a single slow one does not end the run
LEAST: Final = 10
_FORM: Final = re.compile(r"(errors|p95)\s{0,8}>\s{0,8}(\d{1,12}(?:\.\d{1,12})?)\s{0,8}(%|ms|s)")
_UNITS: Final = {"errors": ("%",), "p95": ("ms", "s")}


@dataclass(frozen=True, slots=True)
class StopWhen:
    """A stop condition. `errors > 10 %`: that share of the last questions failed.
    `p95 > 2000 ms`: one in twenty took longer. `limit`: a share, or seconds."""

    what: Literal["errors", "p95"]
    limit: float
    text: str

    def met(self, answers: deque[float | None]) -> bool:
        """Whether the answers meet the condition.
        Seconds of each answer; None for a failed one, which counts as slower than any."""
        if len(answers) < LEAST:
            return False
        if self.what == "errors":
            return sum(one is None for one in answers) > self.limit * len(answers)
        ordered = sorted(float("inf") if one is None else one for one in answers)
        return ordered[max(0, -(-95 * len(ordered) // 100) - 1)] > self.limit


def parse_stop_condition(text: str) -> StopWhen:
    """Parse a stop condition. Raises BadInput."""
    found = _FORM.fullmatch(text.strip())
    if found is None or found[3] not in _UNITS[found[1]]:
        raise BadInput(
            f"This is no condition: {text!r}",
            where="--stop-when",
            next="--stop-when 'errors > 10 %' or --stop-when 'p95 > 2000 ms'",
        )
    scale = {"%": 0.01, "ms": 0.001, "s": 1.0}[found[3]]
    return StopWhen("errors" if found[1] == "errors" else "p95", float(found[2]) * scale, text.strip())


def probe(place: LoadTarget, condition: StopWhen, over: threading.Event, stop: Callable[[str], None]) -> None:
    """Ask until the run is over. `stop` is called once, with the reason, when the condition is met."""
    verify = ssl.create_default_context(cafile=str(place.ca) if place.ca else None)
    answers: deque[float | None] = deque(maxlen=LAST)
    while not over.wait(ASK_SECONDS):
        answers.append(_ask(place, verify))
        if condition.met(answers):
            stop(f"users outside suffered: {condition.text} in their last {len(answers)} questions")
            return


def _ask(place: LoadTarget, verify: ssl.SSLContext) -> float | None:
    headers = {**place.headers, "Authorization": f"Bearer {place.keys[0]}"}
    began = time.monotonic()
    try:
        answer = httpx.post(f"{place.url}/v1/search", json={"query": QUESTION, "top_k": 1}, headers=headers, verify=verify,
                            timeout=TIMEOUT_SECONDS, trust_env=False)  # fmt: skip
    except (httpx.HTTPError, OSError):
        return None
    return time.monotonic() - began if answer.status_code == 200 else None
