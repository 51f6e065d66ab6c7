"""Asks a version's own command to give the jobs of one release to another, by the name that the version knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from teal.errors import AdminFailed

NAME_IN_OLDER_IMAGES: Final = "rehome"  # of `jobs transfer`, until November 2026, with the same options and the same answer

Ask = Callable[..., list[dict[str, Any]]]


def transfer_jobs(ask: Ask, source: str, target: str) -> list[dict[str, Any]]:
    """`app.admin jobs transfer` through `ask`, which takes the command's words and returns its JSON lines. Raises AdminFailed.

    The color that stays may run an older image than this releaser, which then refuses the command as bad input.
    """
    options = ("--from", source, "--to", target)
    try:
        return ask("jobs", "transfer", *options)
    except AdminFailed as refused:
        if (
            NAME_IN_OLDER_IMAGES not in refused.what
        ):  # argparse lists the commands that there are: "invalid choice ... (choose from 'left', 'rehome')"
            raise
        return ask("jobs", NAME_IN_OLDER_IMAGES, *options)
