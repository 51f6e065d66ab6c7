"""Secrets of the laptop stack: kept in files that only their owner reads, given to processes when they start, in no record."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from teal.errors import BadInput
from teal.laptop.files import write_private
from teal.laptop.layout import Layout
from teal.record.model import Color


def probe_secret(layout: Layout, color: Color) -> str:
    """What a probe of this color sends; made at the first call."""
    return kept_secret(layout.probe_secret(color), lambda: secrets.token_hex(24), "[0-9a-f]{48}")


def metrics_token(layout: Layout) -> str:
    """What the stack's own processes and this command send to read /metrics; made at the first call."""
    return kept_secret(layout.metrics_token, lambda: secrets.token_hex(24), "[0-9a-f]{48}")


def metrics_headers(layout: Layout) -> dict[str, str]:
    """The headers with which a process of the stack says its metrics."""
    return {"Authorization": f"Bearer {metrics_token(layout)}"}


def kept_secret(path: Path, make: Callable[[], str], pattern: str) -> str:
    """The secret in this file, made at the first call, and made anew where the file does not hold one of this form: it is damaged."""
    try:
        found = path.read_text(encoding="utf-8-sig", errors="replace").strip()
    except FileNotFoundError:
        found = ""
    if not re.fullmatch(pattern, found):
        found = make()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, found)
    return found


def keep_service_secrets(layout: Layout, found: Mapping[str, str]) -> None:
    """Remember what `teal up` was given, so that a release from another shell starts its color with the same."""
    write_private(layout.keys / "service.json", json.dumps(dict(found), indent=1, sort_keys=True) + "\n")


def service_secrets(layout: Layout) -> dict[str, str]:
    """Secret settings by name; empty before the first `teal up`."""
    try:
        return dict(json.loads((layout.keys / "service.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise BadInput("The kept secret settings are damaged", where=str(layout.keys / "service.json"),
                       next="teal up, in a shell that sets what they were (DATABASE_URL, ...)") from error  # fmt: skip
