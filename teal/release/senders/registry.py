"""Every sender of notifications, by the name that a stack's file calls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from teal.release.senders.sender import Sender
from teal.release.senders.sns import SNS
from teal.release.senders.webhook import WEBHOOK

SENDERS: Final[Mapping[str, Sender]] = {sender.name: sender for sender in (WEBHOOK, SNS)}
