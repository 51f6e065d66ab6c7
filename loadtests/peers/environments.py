"""A Python environment for each peer, installed from its lock by hash. The locks contain no index address.

They are compiled by `python -m loadtests.peers --lock` and are not part of `make lock`: nothing that ships depends on them.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
FOLDER: Final = Path(".teal/peers")
PYTHON: Final = "3.11"
_SECONDS: Final = 900
NAMES: Final = ("haystack", "langserve", "llamaindex", "bare")


def compile_locks() -> None:
    """Write `<name>.lock` from `<name>.in`; raises `CalledProcessError`."""
    for name in NAMES:
        _uv(
            "pip", "compile", str(HERE / f"{name}.in"), "-o", str(HERE / f"{name}.lock"), "--universal", "--python-version", PYTHON,
            "--upgrade", "--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate",
        )  # fmt: skip


def ready(name: str) -> Path:
    """The folder of programs of a peer's environment, which is made unless it already contains exactly its lock."""
    lock, folder = HERE / f"{name}.lock", FOLDER.resolve() / name
    stamp, digest = folder / ".lock.sha256", hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != digest:
        _uv("venv", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "sync", "--require-hashes", "--python", str(folder / "bin" / "python"), str(lock))
        stamp.write_text(digest)
    return folder / "bin"


def _uv(*arguments: str) -> None:
    subprocess.run([str(Path(sys.executable).parent / "uv"), *arguments, "--quiet"], check=True, timeout=_SECONDS)  # noqa: S603
