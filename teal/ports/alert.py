"""The test message that `teal alert test` sends through the channel of real alerts."""

from __future__ import annotations

from dataclasses import dataclass

NAME = "AlertChannelTest"
RUNBOOK = "docs/observability.md"


@dataclass(frozen=True, slots=True)
class SentMessage:
    """Where the message went, and the id by which it is found there."""

    channel: str
    id: str
