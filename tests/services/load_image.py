"""The image of load tests (loadtests/Dockerfile) as an archive, built by `.ci/load-image` once for each state of what it copies."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Final

from tests.services import app_image

COPIED: Final = ("loadtests", "requirements-load.lock", ".ci/load-image")


def archive() -> Path:
    """The archive's place in the cache folder, beside the service's; its name is a digest of everything that is in the image."""
    digest = hashlib.sha256()
    for name in COPIED:
        for path in sorted(app_image.files(app_image.ROOT / name)):
            digest.update(f"{path.relative_to(app_image.ROOT)}\0".encode() + path.read_bytes())
    return app_image.archive().with_name(f"load-{digest.hexdigest()[:16]}.tar")


def build() -> Path:
    """The archive; built now where it is missing, as root. Archives of other states of the tree are removed."""
    found = archive()
    if not found.exists():
        subprocess.run([app_image.ROOT / ".ci" / "load-image", found, app_image.build()], check=True)
    for other in found.parent.glob("load-*.tar"):
        if other != found:
            other.unlink()
    return found
