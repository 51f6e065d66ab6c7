"""The last error lines in the logs of a failed color, without secrets and without terminal control characters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from teal.errors import OperatorError
from teal.events import Event
from teal.release.context import ReleaseRun
from teal.terminal.writer import visible_text

LINES: Final = 20  # the newest; a repeated failure writes the same lines
SHORTEST: Final = 12  # characters of a known secret to mask; a shorter value may be a plain word
MOST_CHARACTERS: Final = 1_000  # of one line: a JSON log line may contain a whole stack trace
_MASK: Final = "***"
_SECRETS: Final = (
    re.compile(r"\bteal_[0-9a-f]+_[A-Za-z0-9_-]+"),  # a key of the service
    re.compile(r"(?i)(?<=bearer )[A-Za-z0-9._~+/=-]+"),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),  # name and password in an address
    re.compile(r"(?i)(?<=teal_session=)[A-Za-z0-9_-]+"),
    re.compile(r"""(?i)(?:password|secret|token|api[_-]?key)["']?\s*[=:]\s*["']?[^\s"',;}]+"""),
)


def mask_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask known secrets by their value, and others by their form."""
    text = text[: 8 * MOST_CHARACTERS]  # limits the search time of a very long line
    for secret in sorted({one for one in secrets if len(one) >= SHORTEST}, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    for pattern in _SECRETS:
        text = pattern.sub(_MASK, text)
    return visible_text(text)[:MOST_CHARACTERS]


def error_excerpt(run: ReleaseRun) -> Iterable[Event]:
    """An event with the new color's last error lines; none where logs cannot be read (AWS) or contain no errors.
    Never raises OperatorError."""
    if run.target.inside is None:
        return
    try:
        lines = run.target.inside.errors(run.new, LINES)
        held = [value for color in (run.new, run.old) if color for value in run.target.traffic.entry(color).headers.values()]
    except (OperatorError, OSError):
        return
    keys = [value.removeprefix("Bearer ") for value in run.target.probe_headers.values()]
    if lines:
        told = [mask_secrets(line, (*held, *keys, run.bound_key or "")) for line in lines]
        yield Event(
            "logs", "warn", f"{len(told)} lines of {run.new} tell of errors; the last: {told[-1][:200]}", data={"log": told}
        )
