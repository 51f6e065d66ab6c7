"""Log files: JSON lines whatever is logged, and no larger than was promised."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.observability import logging as logs
from app.settings import Settings


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(before):
        handler.close()
    root.handlers[:] = before
    root.setLevel(level)


def test_log_files_rotate_and_lose_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LOG_FILE_BYTES", 20_000)
    logs.configure_logging(Settings(log_dir=tmp_path, release_id="r7"), "app")
    for number in range(400):
        logging.getLogger("app.test").info("number %s \ud800", number, extra={"path": "/\udcff", "thing": object()})
    files = sorted(tmp_path.iterdir(), key=lambda one: one.name, reverse=True)  # app.log.5 is the oldest
    assert len(files) > 2
    assert all(one.stat().st_size < 21_000 for one in files)
    lines = [json.loads(line) for one in files for line in one.read_text().splitlines()]
    assert [line["message"] for line in lines] == [f"number {number} \ud800" for number in range(400)]
    assert {(line["release"], line["level"]) for line in lines} == {("r7", "INFO")}


def test_no_key_is_in_a_line_whoever_logs_it(tmp_path: Path) -> None:
    key = f"teal_0123456789ab_{'k' * 43}"
    logs.configure_logging(Settings(log_dir=tmp_path), "app")
    logging.getLogger("app.test").info("asked for %s", key, extra={"path": f"/v1/documents/{key}"})
    logging.getLogger("app.test").error("failed", exc_info=ValueError(f"no {key} here"))
    text = (tmp_path / "app.log").read_text()
    assert "k" * 43 not in text
    assert [json.loads(line)["message"] for line in text.splitlines()] == ["asked for REDACTED", "failed"]
