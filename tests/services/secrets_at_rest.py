"""Where a laptop stack's secrets may lie, and a search through everything else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from teal.laptop.layout import Layout

# Programs read these when they start, so secrets must be in them. `caddy` has the keys of its certificates.
MADE_FOR_SECRETS = ("keys/", "conf/parts/", "conf/redis.conf", "conf/Caddyfile", "caddy/")


def secrets(layout: Layout) -> Mapping[str, str]:
    """What the stack holds, by where it came from."""
    given = json.loads((layout.keys / "service.json").read_text())
    found = {f"service.json {name}": value for name, value in given.items()}
    for path in (
        layout.admin_key,
        layout.redis_password,
        layout.probe_secret("blue"),
        layout.probe_secret("green"),
        layout.metrics_token,
    ):
        found[path.name] = path.read_text().strip()
    return found


def leaks(home: Path, wanted: Mapping[str, str]) -> Iterator[str]:
    """Files with one of the texts in them, outside of what is made for secrets."""
    for path in sorted(home.rglob("*")):
        place = str(path.relative_to(home))
        if not path.is_file() or path.is_symlink() or place.startswith(MADE_FOR_SECRETS):
            continue
        content = path.read_bytes()
        yield from (f"{name} is in {place}" for name, value in wanted.items() if value.encode() in content)
