"""Files of Debian packages, unpacked and not installed: real documents that are not ours to copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.services.required import require

DOWNLOAD_SECONDS = 120  # a package is 1 to 3 MB; a fresh index of packages is 10 MB


def unpacked(package: str) -> Path:
    """The folder with the package's files below it, from the cache folder; skips (fails in CI) where it cannot be downloaded."""
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "teal" / "debian"
    folder = base / package
    if not folder.exists():
        require(
            f"Debian's package {package}", "It is downloaded by apt-get, which is not here.", shutil.which("apt-get") is not None
        )
        base.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=base) as draft:
            said = _download(package, Path(draft))
            require(f"Debian's package {package}", f"Run `apt-get update` as root. apt-get said: {said}", not said)
            os.rename(Path(draft) / "files", folder)
    return folder


def _download(package: str, draft: Path) -> str:
    """Unpacks the package into `draft`/files. What apt-get or dpkg said, where it failed."""
    if _said(["apt-get", "download", package], draft) and os.geteuid() == 0:
        _said(["apt-get", "-qq", "update"], draft)  # a machine that installed nothing yet knows no packages
        if said := _said(["apt-get", "download", package], draft):
            return said
    found = [*draft.glob("*.deb")]
    return _said(["dpkg", "-x", str(found[0]), "files"], draft) if found else "nothing was downloaded"


def _said(command: list[str], folder: Path) -> str:
    """The end of what a failing command said; empty if it did not fail."""
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS)
    return "" if ended.returncode == 0 else ended.stderr[-300:] or f"{command[0]} ended with {ended.returncode}"
