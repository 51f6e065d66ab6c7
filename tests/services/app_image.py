"""The service's own image as an archive, built by `.ci/image` once for each state of what app/Dockerfile copies.

`python -m tests.services.app_image` prints where the archive of this tree belongs, whether it is there or not.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
COPIED: Final = ("app", "contract", "requirements-app.lock", ".dockerignore", ".ci/image")


def archive() -> Path:
    """The archive's place in the cache folder; its name is a digest of everything that is in the image."""
    return archive_of("app", COPIED)


def build() -> Path:
    """The archive; built now where it is missing, as root, in 2 minutes on two quiet cores. Archives of other states of the tree are removed, some hundred MB each."""
    found = archive()
    if not found.exists():
        subprocess.run([ROOT / ".ci" / "image", "--archive", found, "--build-only"], check=True)
    remove_others(found)
    return found


def archive_of(image: str, copied: Sequence[str]) -> Path:
    """The place of the archive of an image into which these files and folders are copied."""
    digest = hashlib.sha256()
    for name in copied:
        for path in sorted(_files(ROOT / name)):
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "teal" / "images" / f"{image}-{digest.hexdigest()[:16]}.tar"


def remove_others(archive: Path) -> None:
    """Remove the archives of the same image in other states of the tree."""
    for other in archive.parent.glob(f"{archive.name.partition('-')[0]}-*.tar"):
        if other != archive:
            other.unlink()


def _files(path: Path) -> list[Path]:
    """The files of a folder, or the file itself; what Python compiled is left out."""
    if not path.is_dir():
        return [path] if path.exists() else []
    return [each for each in path.rglob("*") if each.is_file() and "__pycache__" not in each.parts]


if __name__ == "__main__":
    print(archive())
