"""What a sender of notifications is: one file, which makes one `Sender`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


class NotificationNotSent(Exception):
    """A try failed. The text names no address: that of a webhook is a secret."""


@dataclass(frozen=True, slots=True)
class Sender:
    """`refuses`: why `to` is none of its addresses; empty when it is one. `send(address, text, seconds)`: one try, which ends within about
    that time. Raises NotificationNotSent. The address has been resolved where it was given by reference."""

    name: str
    refuses: Callable[[str], str]
    send: Callable[[str, str, float], None]
