"""Checks by a request through the load balancer that the service answers, before a command reports that something is mended."""

from __future__ import annotations

from typing import Final

from teal.client.probe import Prober
from teal.errors import NeedsHuman, OperatorError
from teal.ports.target import Target
from teal.record.model import Color

TRIES: Final = 3  # one response may be lost while processes of the other color end
NEXT: Final = "teal status; then runbooks/error-rate.md"


def reason_not_serving(target: Target, color: Color) -> str:
    """Why the color answers no search; empty when it does. Costs one search, or three and two polls."""
    said = ""
    for tried in range(TRIES):
        if tried:
            target.clock.sleep(target.rules.poll_seconds)
        try:
            with Prober(target.client(target.traffic.entry(color)), target.probe_headers) as prober:
                said = prober.answers()
        except OperatorError as error:  # no way in, or no key
            said = error.what
        if not said:
            return ""
    return said


def require_answer(target: Target, color: Color | None, done: str) -> None:
    """Raise NeedsHuman when the active color does not answer although `done`. Does nothing before the first release."""
    if color is not None and (said := reason_not_serving(target, color)):
        raise NeedsHuman(f"{done}, but {color} does not answer: {said}", where=color, next=NEXT)
