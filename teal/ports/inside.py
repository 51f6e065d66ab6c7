"""The port `Inside`: observations of a color's processes that are possible only when the releaser runs on their machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from teal.record.model import Color


class Inside(Protocol):
    """Facts about processes, not about users.
    No release needs them: where they are not available, the probes that use them are skipped."""

    def held(self, color: Color) -> Mapping[str, float]:
        """Sums over the color's app processes: "open files", "bytes of memory";
        values that the platform does not report are left out."""
        ...

    def logged(self, color: Color, text: str) -> bool:
        """Whether the text occurs in the logs of the color's processes."""
        ...

    def errors(self, color: Color, count: int) -> Sequence[str]:
        """The newest error lines in the logs of the color's processes, `count` at most, oldest first."""
        ...
