"""Checks what this machine needs for the stack, and names the command that mends each fault. Changes nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping

from teal.laptop import supervisor
from teal.laptop.artifacts import DJANGO_DOCS
from teal.laptop.demo import corpus
from teal.laptop.layout import Layout
from teal.laptop.parts import registry
from teal.laptop.parts.part import CheckRow, PartContext
from teal.laptop.state import UpOptions, choose_state, load_state

LEAST_PYTHON = (3, 11)
NEEDED_DISK_BYTES = 1_000_000_000  # environment, model, corpus, index and logs together stay below half of it
ELASTICSEARCH_DISK_BYTES = 2_000_000_000  # zip, unpacked program, and the 500 MB where it turns read-only


def check_laptop(layout: Layout, environ: Mapping[str, str]) -> tuple[CheckRow, ...]:
    """Every check: the machine, each part in starting order, then what runs here already."""
    state = choose_state(
        load_state(layout), UpOptions(), registry.port_names()
    )  # before a first start: the state that this start would choose
    needed = ELASTICSEARCH_DISK_BYTES if state.search == "elasticsearch" else NEEDED_DISK_BYTES
    rows = [python_row(sys.version_info[:2]), disk_row(layout, needed)]
    for part in registry.PARTS:
        rows += part.doctor(PartContext(layout, state, environ))
    running = supervisor.is_up(layout)
    rows.append(CheckRow("stack", running, "running" if running else "not running", "" if running else "teal up"))
    have = corpus.archive_path(layout, DJANGO_DOCS).is_file()
    rows.append(
        CheckRow(
            "corpus", have, f"Django {DJANGO_DOCS.version} documentation" if have else "not fetched", "" if have else "teal up"
        )
    )
    return tuple(rows)


def python_row(version: tuple[int, int]) -> CheckRow:
    good = version >= LEAST_PYTHON
    return CheckRow(
        "python", good, ".".join(map(str, version)), "" if good else "install Python 3.11 or newer, then `make clean up`"
    )


def disk_row(layout: Layout, needed_bytes: int) -> CheckRow:
    folder = next(path for path in (layout.home, *layout.home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK):
        return CheckRow("disk", False, f"{folder} cannot be written by you", "TEAL_HOME=/your/own/folder teal up")
    good = free >= needed_bytes
    return CheckRow(
        "disk",
        good,
        f"{free / 1e9:.1f} GB free at {folder}, {needed_bytes / 1e9:.0f} GB needed",
        "" if good else "free some, or TEAL_HOME=/bigger/disk teal up",
    )
