"""Fetches what the tests run on, verified: the model and Elasticsearch. `python -m tests.fetch`, which `make fetch` calls."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from teal.errors import FetchFailed
from teal.stack.artifacts import DEFAULT_MODEL, ELASTICSEARCH
from teal.stack.fetch import fetch_model, resolve
from teal.stack.layout import Layout

MODELS = Path(".teal/models")


def main() -> int:
    """Fetch both; a failure matters in CI alone, elsewhere the tests that need the part skip and say so."""
    MODELS.mkdir(parents=True, exist_ok=True)
    failed = False
    for what, fetch in (
        (DEFAULT_MODEL, lambda: fetch_model(Layout(Path(".teal").resolve()), DEFAULT_MODEL)),
        ("elasticsearch", lambda: resolve(ELASTICSEARCH)),
    ):
        try:
            print(f"{what}: {'verified' if fetch() else 'missing'}")
        except FetchFailed as error:
            print(error, file=sys.stderr)
            failed = True
    return int(failed and os.environ.get("CI") == "true")


if __name__ == "__main__":
    sys.exit(main())
