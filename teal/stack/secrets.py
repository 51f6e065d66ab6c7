"""Secrets of the laptop stack: kept in files that only their owner reads, given to processes when they start, in no record."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from teal.record import Color
from teal.stack.layout import Layout, write_private


def probe_secret(layout: Layout, color: Color) -> str:
    """What a probe of this color sends; made at the first call."""
    path = layout.probe_secret(color)
    if not path.is_file():
        write_private(path, secrets.token_hex(24))
    return path.read_text(encoding="utf-8").strip()


def keep_service_secrets(layout: Layout, found: Mapping[str, str]) -> None:
    """Remember what `teal up` was given, so that a release from another shell starts its color with the same."""
    write_private(layout.keys / "service.json", json.dumps(dict(found), indent=1, sort_keys=True) + "\n")


def service_secrets(layout: Layout) -> dict[str, str]:
    """Secret settings by name; empty before the first `teal up`."""
    try:
        return dict(json.loads((layout.keys / "service.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
