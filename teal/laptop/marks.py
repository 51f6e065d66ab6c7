"""The two environment variables that mark a process as started by a laptop stack."""

from __future__ import annotations

from typing import Final

PART_MARK: Final = "TEAL_STACK_PART"  # which part it is
HOME_MARK: Final = "TEAL_STACK_HOME"  # of which stack: its folder
