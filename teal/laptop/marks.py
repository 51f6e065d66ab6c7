"""What marks a process as one that this laptop's stack started: two variables in its environment."""

from __future__ import annotations

from typing import Final

PART_MARK: Final = "TEAL_STACK_PART"  # which part it is
HOME_MARK: Final = "TEAL_STACK_HOME"  # of which stack: its folder
