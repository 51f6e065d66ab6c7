"""Promises of `teal alert test`: what it says was taken was received, and what was not received it does not say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from teal import alert
from teal.alert import CHANNEL_VARIABLE, NotReceived
from teal.errors import BadInput
from teal.laptop.layout import Layout

MESSAGE = alert.message(datetime(2026, 11, 25, tzinfo=UTC))


def test_without_a_channel_alerts_are_lines_of_a_file(tmp_path: Path) -> None:
    for _ in range(2):
        sent = alert.send(MESSAGE, {}, Layout(tmp_path))
    lines = (tmp_path / "log" / "alerts.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [MESSAGE, MESSAGE]
    assert sent.channel == str(tmp_path / "log" / "alerts.jsonl")


def test_a_file_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(NotReceived, match="could not be written"):
        alert.send(MESSAGE, {CHANNEL_VARIABLE: str(tmp_path / "taken" / "alerts.jsonl")}, Layout(tmp_path))


def test_a_channel_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no address of a webhook"):
        alert.send(MESSAGE, {CHANNEL_VARIABLE: "smtp://127.0.0.1"}, Layout(tmp_path))
