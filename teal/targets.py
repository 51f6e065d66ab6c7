"""Opens the place where a command works: the laptop, or a stack on AWS."""

from __future__ import annotations

import os

from teal.ports.target import Target


def open_target(stack: str | None) -> Target:
    """Open the laptop without a name, else that stack on AWS.
    Each is imported only when chosen, so that neither needs the other's libraries."""
    if stack is None:
        from teal.laptop.layout import locate_layout
        from teal.laptop.target import open_laptop_target

        return open_laptop_target(locate_layout(os.environ), os.environ)
    from teal.aws.target import aws

    return aws(stack, os.environ)
