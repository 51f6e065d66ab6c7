"""Secrets of the laptop stack: kept in files that only their owner can read, passed to processes at their start,
and in no release record."""

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
    """The secret header value of probes of this color; made at the first call."""
    return kept_secret(layout.probe_secret(color), lambda: secrets.token_hex(24), "[0-9a-f]{48}")


def metrics_token(layout: Layout) -> str:
    """The token that the stack's processes and this command send to read /metrics; made at the first call."""
    return kept_secret(layout.metrics_token, lambda: secrets.token_hex(24), "[0-9a-f]{48}")


def metrics_headers(layout: Layout) -> dict[str, str]:
    """The headers of a request to /metrics of the stack's processes."""
    return {"Authorization": f"Bearer {metrics_token(layout)}"}


def kept_secret(path: Path, make: Callable[[], str], pattern: str) -> str:
    """The secret in this file. It is made at the first call, and again when the file is damaged,
    which is when it does not match `pattern`."""
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
    """Keep the secret settings of `teal up`, so that a release from another shell starts its color with the same ones."""
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
