"""Transfers the jobs of one release to another by a version's `app.admin jobs transfer`, or by the older name of that command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from teal.errors import AdminFailed

NAME_IN_OLDER_IMAGES: Final = "rehome"  # name of `jobs transfer` until November 2026, with the same options and output

Ask = Callable[..., list[dict[str, Any]]]


def transfer_jobs(ask: Ask, source: str, target: str) -> list[dict[str, Any]]:
    """Run `app.admin jobs transfer` by `ask`, which takes the command's arguments and returns its JSON lines. Raises AdminFailed.

    The color that stays may run an older image, which rejects the new command name as bad input; then the older name is used.
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
