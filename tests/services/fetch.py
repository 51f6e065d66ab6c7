"""Fetches what the tests run on, verified: the models, Elasticsearch and promtool. `python -m tests.services.fetch`, which `make fetch` calls."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

from teal.errors import FetchFailed
from teal.laptop.artifacts import CROSS_ENCODER, ELASTICSEARCH
from teal.laptop.artifacts import MODELS as PINNED_MODELS
from teal.laptop.cross_encoder import fetch_cross_encoder
from teal.laptop.fetch import fetch_model, resolve
from teal.laptop.layout import Layout
from tests.services.go_tools import TOOLS, BuildFailed, build

MODELS = Path(".teal/models")


def main() -> int:
    """Fetch all; a failure matters in CI alone, elsewhere the tests that need the part skip and say so."""
    MODELS.mkdir(parents=True, exist_ok=True)
    layout = Layout(MODELS.parent.resolve())
    parts = {name: functools.partial(fetch_model, layout, name) for name in PINNED_MODELS}
    parts[CROSS_ENCODER.name] = functools.partial(fetch_cross_encoder, layout)
    parts["elasticsearch"] = functools.partial(resolve, ELASTICSEARCH)
    failed = False
    for name, fetch in parts.items():
        try:
            fetch()
            print(f"{name}: here, verified")
        except FetchFailed as error:
            print(error, file=sys.stderr)
            failed = True
    try:
        build(TOOLS["promtool"])
        print("promtool: here")
    except BuildFailed as error:
        print(f"promtool did not build: {error}", file=sys.stderr)
        failed = True
    return int(failed and os.environ.get("CI") == "true")


if __name__ == "__main__":
    sys.exit(main())
