"""What can be seen of a color's processes from inside: where the releaser is on their machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from teal.record.model import Color


class Inside(Protocol):
    """None of it is about users, and no release needs it: where it is not to be had, the probes that want it do not ask."""

    def held(self, color: Color) -> Mapping[str, float]:
        """What all its app processes hold together: "open files", "bytes of memory"; without what the platform does not say."""
        ...

    def logged(self, color: Color, text: str) -> bool:
        """Whether the text stands in what its processes wrote."""
        ...

    def errors(self, color: Color, count: int) -> Sequence[str]:
        """The newest lines that tell of errors in what its processes wrote, oldest first; `count` at most."""
        ...
