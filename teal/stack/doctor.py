"""What this machine needs for the stack, what is missing, and the command that mends it. Changes nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from teal.errors import BadInput
from teal.stack import corpus, elasticsearch, reap, supervisor
from teal.stack.artifacts import DJANGO_DOCS
from teal.stack.layout import DEFAULT_PORT, Layout, is_free, load
from teal.stack.parts import find_binaries
from teal.stack.status import Row, model_row

LEAST_PYTHON = (3, 11)
NEEDED_DISK_BYTES = 1_000_000_000  # environment, model, corpus, index and logs together stay below half of it
ELASTICSEARCH_DISK_BYTES = 2_000_000_000  # zip, unpacked program, and the 500 MB where it turns read-only


def examine(layout: Layout, environ: Mapping[str, str]) -> tuple[Row, ...]:
    """Every check, in the order of a first start."""
    state = load(layout)
    wants_elasticsearch = state is not None and state.search == "elasticsearch"
    rows = [
        python_row(sys.version_info[:2]),
        disk_row(layout, ELASTICSEARCH_DISK_BYTES if wants_elasticsearch else NEEDED_DISK_BYTES),
    ]
    binaries = find_binaries()
    rows.append(Row("caddy", bool(binaries.caddy), binaries.caddy or "missing: no HTTPS", "" if binaries.caddy else "make up"))
    if environ.get("REDIS_URL"):
        rows.append(Row("redis", True, "REDIS_URL is used"))
    else:
        rows.append(
            Row(
                "redis",
                bool(binaries.redis),
                binaries.redis or "missing: each process caches alone",
                "" if binaries.redis else "make up",
            )
        )
    running = supervisor.is_up(layout)
    rows.append(port_row(state.ports.public if state else DEFAULT_PORT, running))
    rows.append(Row("stack", running, "running" if running else "not running", "" if running else "teal up"))
    rows.append(model_row(layout, environ))
    have = corpus.archive_path(layout, DJANGO_DOCS).is_file()
    rows.append(
        Row("corpus", have, f"Django {DJANGO_DOCS.version} documentation" if have else "not fetched", "" if have else "teal up")
    )
    rows.append(java_row(environ, needed=wants_elasticsearch and not environ.get("ELASTICSEARCH_URL")))
    rows.append(trust_row(layout))
    return tuple(rows)


def python_row(version: tuple[int, int]) -> Row:
    good = version >= LEAST_PYTHON
    return Row("python", good, ".".join(map(str, version)), "" if good else "install Python 3.11 or newer, then `make clean up`")


def disk_row(layout: Layout, needed_bytes: int) -> Row:
    folder = next(path for path in (layout.home, *layout.home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    good = free >= needed_bytes and os.access(folder, os.W_OK)
    return Row(
        "disk",
        good,
        f"{free / 1e9:.1f} GB free at {folder}, {needed_bytes / 1e9:.0f} GB needed",
        "" if good else "free some, or TEAL_HOME=/bigger/disk teal up",
    )


def port_row(port: int, running: bool) -> Row:
    if running or is_free(port):
        return Row("port", True, f"{port} is {'ours' if running else 'free'}")
    who = reap.holder(port)
    return Row("port", False, f"{port} is in use" + (f" by {who}" if who else ""), f"teal up --port {port + 1}")


def java_row(environ: Mapping[str, str], *, needed: bool) -> Row:
    try:
        java = elasticsearch.find_java(environ)
    except BadInput as error:
        return Row("jdk", not needed, f"{error.what} (only for --search elasticsearch)", error.next if needed else "")
    return Row("jdk", True, f"{java.version} at {java.home} (only for --search elasticsearch)")


def trust_row(layout: Layout) -> Row:
    """A hint, never a fault: the browser warns once because the certificate is the stack's own."""
    ca: Path = layout.ca
    if not ca.is_file():
        return Row("browser", True, "the certificate is made at the first start")
    return Row("browser", True, f"to have no warning, import {ca} into the browser's authorities; for curl: --cacert {ca}")
