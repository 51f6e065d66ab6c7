"""Sends to a webhook that accepts `{"text": ...}`:
Slack's incoming webhooks, and compatible ones (Mattermost, Discord's /slack, Rocket.Chat).

Slack's manual, "Formatting text for app surfaces": &, < and > are escaped; that also keeps `<!channel>` in an error text from calling everybody.
"""

from __future__ import annotations

import re
from typing import Final

import httpx

from teal.release.senders.sender import NotificationNotSent, Sender

_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def invalid_address(to: str) -> str:
    """Why `to` is not a valid address. A webhook's address is itself a secret, so it may be given by reference only."""
    given = re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*|file:[/~].+", to)
    return (
        "" if given else "the address of a webhook is a secret: name a variable (env:NAME) or a file (file:/path) that holds it"
    )


def send(address: str, text: str, seconds: float) -> None:
    if not address.startswith(("https://", "http://")):
        raise NotificationNotSent("what the reference holds is no address of a webhook")
    escaped = "".join(_ENTITIES.get(character, character) for character in text)
    try:
        own = not _is_loopback(address)
        with httpx.stream("POST", address, json={"text": escaped}, timeout=seconds, trust_env=own) as answer:
            taken, status = answer.is_success, answer.status_code  # the body is not read: an endless one would block
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotificationNotSent(f"the webhook did not answer: {type(error).__name__}") from None
    if not taken:
        raise NotificationNotSent(f"the webhook refused it with {status}")


def _is_loopback(address: str) -> bool:
    """Whether the receiver is on this machine, so that no proxy is used."""
    return httpx.URL(address).host in ("127.0.0.1", "localhost", "::1")


WEBHOOK: Final = Sender("webhook", invalid_address, send)
