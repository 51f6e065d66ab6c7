"""Python environments for versions whose lock differs from this tree's.
Packages are installed by hash under `.teal/environments/`."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import teal
from teal.errors import OperatorError
from teal.laptop.layout import Layout

LOCK: Final = "requirements.lock"
INSTALL_SECONDS: Final = 900.0  # it takes a minute from a nearby index: the locks name wheels, so nothing is compiled
GENTLY: Final = ("nice", "-n", "10")  # on a busy processor a build gets a tenth of a request's share
_WHOLE: Final = ".whole"
_PACKAGE: Final = re.compile(
    r"[A-Za-z0-9._-]{1,100}(?:\[[A-Za-z0-9._,-]{1,200}\])?==[A-Za-z0-9.+!_-]{1,100}(?: {0,9};[^@#-]{1,500})?(?: {1,9}--hash=sha256:[0-9a-f]{64}){0,2000}"
)
_SHOWN: Final = 300  # characters of pip's reason


class BuildFailed(OperatorError):
    """The tree could not be made into a version."""

    code = "build-failed"


def project() -> Path:
    """The source tree that this command was installed from, or the folder of the installed packages."""
    return Path(teal.__file__).resolve().parents[1]


def existing_interpreter(layout: Layout, lock: bytes) -> str | None:
    """The interpreter with the lock's packages, if there is one: this command's own or an environment's. Makes nothing."""
    here = project() / LOCK
    if not lock or not here.is_file() or here.read_bytes() == lock:
        return sys.executable
    folder = _folder(layout, lock)
    return str(_python(folder)) if (folder / _WHOLE).is_file() else None


def ensure_interpreter(layout: Layout, lock: bytes) -> str:
    """The interpreter with the lock's packages; makes its environment if needed.
    Raises BuildFailed and then leaves nothing behind."""
    if found := existing_interpreter(layout, lock):
        return found
    layout.environments.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = _folder(layout, lock)
    with _alone(folder):
        if found := existing_interpreter(layout, lock):  # another process made it while this one waited
            return found
        shutil.rmtree(folder, ignore_errors=True)  # left unfinished by a process that was killed
        try:
            _make(folder, lock)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return str(_python(folder))


def prune(layout: Layout, locks: Iterable[bytes]) -> None:
    """Remove the environments that none of these locks needs, except one that is being made now."""
    wanted = {_folder(layout, lock) for lock in locks}
    for folder in layout.environments.glob("*"):
        if folder.is_dir() and folder not in wanted:
            with _alone(folder, wait=False) as mine:
                if mine:
                    shutil.rmtree(folder, ignore_errors=True)
                    _guard(folder).unlink(missing_ok=True)


def _folder(layout: Layout, lock: bytes) -> Path:
    return layout.environments / hashlib.sha256(lock).hexdigest()[:16]


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _guard(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.making")


@contextmanager
def _alone(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of this environment while it is made or removed.
    Yields False when another process holds it and `wait` is off."""
    with _guard(folder).open("a") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _make(folder: Path, lock: bytes) -> None:
    _refuse_other_lines(lock)
    run_command((sys.executable, "-I", "-m", "venv", "--without-pip", str(folder)), folder)
    (folder / LOCK).write_bytes(lock)
    # This command's own pip installs into the other environment; -I ignores the shell's Python settings. Only wheels are allowed:
    # building a package would run its code here, in the operator's shell.
    run_command((sys.executable, "-I", "-m", "pip", "--python", str(_python(folder)), "install", "--quiet", "--disable-pip-version-check", "--no-input",
          "--no-deps", "--require-hashes", "--only-binary", ":all:", "--requirement", str(folder / LOCK)), folder)  # fmt: skip
    (folder / _WHOLE).touch()


def _refuse_other_lines(lock: bytes) -> None:
    """Raise BuildFailed for a lock with lines other than pinned and hashed packages: pip would obey an option (another index,
    another file), a path or an address."""
    for line in lock.decode("utf-8", "replace").replace("\\\n", " ").splitlines():
        said = line.partition(" #")[0].strip()
        if said and not said.startswith("#") and not _PACKAGE.fullmatch(said):
            raise BuildFailed(f"It has a line that names no package with version and hashes: {said[:_SHOWN]}", where=LOCK,
                              next=f"mend {LOCK}, then teal release PATH")  # fmt: skip


def run_command(command: tuple[str, ...], folder: Path) -> None:
    try:
        done = subprocess.run((*GENTLY, *command), capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(
            f"Its requirements were not installed within {INSTALL_SECONDS:.0f} s", where=LOCK, next="teal release PATH"
        ) from error
    if done.returncode != 0:
        raise BuildFailed(
            f"Its requirements could not be installed: {pip_failure(done.stderr)}",
            where=LOCK,
            next=f"mend {LOCK}, then teal release PATH",
        )


def pip_failure(said: str) -> str:
    """pip's reason for a failure: its last line marked ERROR, and the next line, which names the package when a hash is wrong."""
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    marked = [number for number, line in enumerate(lines) if line.startswith("ERROR:")]
    if not marked:
        return lines[-1].strip()[:_SHOWN] if lines else "no reason given"
    at = marked[-1]
    named = lines[at + 1].split()[0] if at + 1 < len(lines) and lines[at + 1].startswith(" ") else ""
    sentence = lines[at].removeprefix("ERROR:").strip().partition(". ")[0]
    return f"{sentence}{': ' if named else ''}{named}"[:_SHOWN]
