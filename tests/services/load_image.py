"""The image of load tests (loadtests/Dockerfile) as an archive, built by `.ci/load-image` once for each state of what it copies."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from tests.services import app_image

COPIED: Final = ("loadtests", "requirements-load.lock", ".ci/load-image")


def archive() -> Path:
    """The archive's place in the cache folder, beside the service's; its name is a digest of everything that is in the image."""
    return app_image.archive_of("load", COPIED)


def build() -> Path:
    """The archive; built now where it is missing, as root. Archives of other states of the tree are removed."""
    found = archive()
    if not found.exists():
        subprocess.run([app_image.ROOT / ".ci" / "load-image", found, app_image.build()], check=True)
    app_image.remove_others(found)
    return found
