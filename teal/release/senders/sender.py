"""The type of a notification sender. Each sender is one file, which makes one `Sender`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


class NotificationNotSent(Exception):
    """A try failed. The text names no address: that of a webhook is a secret."""


@dataclass(frozen=True, slots=True)
class Sender:
    """One kind of receiver. `refuses(to)`: why `to` is not a valid address for it; empty when it is.
    `send(address, text, seconds)`: one try, which takes about `seconds` at most and raises NotificationNotSent.
    An address given by reference is already resolved."""

    name: str
    refuses: Callable[[str], str]
    send: Callable[[str, str, float], None]
