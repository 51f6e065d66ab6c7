"""Sends notifications about a release's start, pauses, undoing and end. They never delay or fail the release: each message has
its own thread, two tries, and one time limit for both. A message that could not be sent is only noted in the evidence."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from contract.steering import Moment, Notification
from teal.errors import OperatorError
from teal.release.context import ReleaseRun
from teal.release.senders.registry import SENDERS
from teal.release.senders.sender import NotificationNotSent
from teal.release.steering import resolve_secret
from teal.terminal.writer import visible_text

MOST_CHARACTERS: Final = 1_500  # a reason may contain a server's response, and people read this on a telephone


@dataclass
class PendingNotification:
    """A notification that is being sent. `said`: the outcome; empty while it is pending."""

    notification: Notification
    thread: threading.Thread
    deadline: float  # monotonic seconds
    said: list[str] = field(default_factory=list)


def announce(run: ReleaseRun, moment: Moment, text: str) -> None:
    """Send `text` to all receivers that are configured for this moment. Returns at once and never raises."""
    whole = visible_text(f"teal {run.target.name}: {run.plan.id} ({run.plan.state.label or run.plan.state.image[-12:]}) {text}")[
        :MOST_CHARACTERS
    ]
    for notification in run.steering.notifications:
        if moment in notification.about:
            run.messages.append(_sent(notification, whole, os.environ))


def finish(run: ReleaseRun) -> tuple[str, ...]:
    """Wait for pending notifications, each within its time limit. Returns a sentence for each that was not sent."""
    messages, run.messages = run.messages, []
    failed = []
    for message in messages:
        message.thread.join(max(0.0, message.deadline - time.monotonic()))
        said = message.said[0] if message.said else f"it was not sent within {message.notification.timeout_seconds:g} s"
        if said != _SENT:
            failed.append(f"{message.notification.send}: {said}")
    return tuple(failed)


_SENT: Final = "sent"


def _sent(notification: Notification, text: str, environ: Mapping[str, str]) -> PendingNotification:
    deadline = time.monotonic() + notification.timeout_seconds
    message = PendingNotification(notification, threading.Thread(), deadline)
    # A daemon thread: a receiver that hangs must not keep the command from ending.
    message.thread = threading.Thread(target=_deliver, args=(message, text, environ), name="notification", daemon=True)
    message.thread.start()
    return message


def _deliver(message: PendingNotification, text: str, environ: Mapping[str, str]) -> None:
    said = "no such sender"
    to = message.notification.to
    try:
        if to.startswith(("env:", "file:")):
            to = resolve_secret(to, environ, message.notification.send)
        for tries_left in (2, 1):
            try:
                left = message.deadline - time.monotonic()
                if left <= 0:
                    break
                SENDERS[message.notification.send].send(to, text, left / tries_left)
            except NotificationNotSent as error:
                said = str(error)
            else:
                said = _SENT
                break
    except OperatorError as error:
        said = error.what
    except Exception as error:  # noqa: BLE001 - a sender's defect must neither undo a release nor print a stack trace
        said = type(error).__name__
    message.said.append(said)
