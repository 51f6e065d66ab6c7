"""`teal alert test`: sends one alert through the channel of real alerts, so that a broken channel is found before an outage."""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from teal.errors import BadInput, OperatorError
from teal.laptop.layout import Layout, locate_layout
from teal.ports.alert import NAME, RUNBOOK, SentMessage
from teal.terminal.options import Stack
from teal.terminal.writer import say, say_json

CHANNEL_VARIABLE = "TEAL_ALERT_CHANNEL"  # of the laptop: an http(s) address that takes Alertmanager's webhook, or a file
SEND_SECONDS = 10.0  # a receiver that needs longer than this would lose alerts too


class NotReceived(OperatorError):
    """The channel did not take the alert."""

    code = "alert-not-received"


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True, help="The channel that alerts take.")
    group.command("test")(alert_test)
    app.add_typer(group, name="alert")


def alert_test(
    stack: Stack = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Send one alert for real, and say who took it. Exit 1: nobody did."""
    if stack is None:
        sent: tuple[SentMessage, ...] = (send(message(datetime.now(UTC)), os.environ, locate_layout(os.environ)),)
    else:
        from teal.aws import alert

        sent = alert.send(stack, os.environ)
    for one in sent:
        if as_json:
            say_json(asdict(one))
        else:
            say(f"taken by {one.channel} as {one.id}: now look where people read it")


def message(now: datetime) -> dict[str, Any]:
    """One alert in the form of Alertmanager's webhook, version 4 (Prometheus' manual, "Alerting: webhook_config")."""
    labels = {"alertname": NAME, "severity": "ticket"}
    annotations = {
        "summary": f"A test of the alert channel from {socket.gethostname()}. Nothing is wrong.",
        "runbook": RUNBOOK,
    }
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": annotations,
        "startsAt": now.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",  # the zero value of Go's time: the alert is still firing
        "generatorURL": "",
        "fingerprint": uuid.uuid4().hex[:16],
    }
    return {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{NAME}"}}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "teal",
        "groupLabels": {"alertname": NAME},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [alert],
    }


def send(body: Mapping[str, Any], environ: Mapping[str, str], layout: Layout) -> SentMessage:
    """Send the alert to the address or file in TEAL_ALERT_CHANNEL, else append it to `.teal/log/alerts.jsonl`.
    Raises NotReceived."""
    channel = environ.get(CHANNEL_VARIABLE) or str(layout.logs / "alerts.jsonl")
    identity = str(body["alerts"][0]["fingerprint"])
    if channel.startswith(("http://", "https://")):
        _post(channel, body)
        return SentMessage(httpx.URL(channel).host, identity)  # the path of a webhook is often its secret
    if "://" in channel:
        raise BadInput("This is no address of a webhook and no file", where=CHANNEL_VARIABLE, next=f"unset {CHANNEL_VARIABLE}")
    file = Path(channel)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(body) + "\n")
    except OSError as error:
        raise NotReceived(f"The alert could not be written: {error.strerror}", where=channel, next=_NEXT) from error
    return SentMessage(channel, identity)


_NEXT = f"correct {CHANNEL_VARIABLE}, then teal alert test"


def _post(address: str, body: Mapping[str, Any]) -> None:
    host = httpx.URL(address).host
    try:
        answer = httpx.post(address, json=body, timeout=SEND_SECONDS)
    except httpx.HTTPError as error:
        raise NotReceived(f"The webhook did not answer: {type(error).__name__}", where=host, next=_NEXT) from error
    if not answer.is_success:
        raise NotReceived(f"The webhook refused the alert with {answer.status_code}", where=host, next=_NEXT)
