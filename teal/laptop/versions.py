"""Versions, the laptop's counterpart of images:
`.teal/versions/<id>/` contains an unpacked wheel of app/ and contract/ and the lock of its packages."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from teal.errors import BadInput
from teal.laptop import environments
from teal.laptop.environments import GENTLY, LOCK, BuildFailed, project
from teal.laptop.files import first_damaged_file, flush_folder, flush_tree, note_digests, write_private
from teal.laptop.layout import Layout

BUILD_SECONDS = 120.0  # a wheel of plain Python takes two
PACKAGES = ("app", "contract")  # what the service is made of
DIGESTS = "sha256.json"
NOTE = "version.json"
MOST_BYTES = 200_000_000  # limit of one package; the service has 2 MB
KEPT = 5  # versions kept although no color runs them, for `teal release --image`
LITTER_SECONDS = 3600.0  # unfinished builds older than this are removed: a build ends within 19 minutes, by its own time limits
EPOCH = "315532800"  # 1980-01-01, the earliest time in a zip file; fixed, so that the same tree gives the same bytes
_PROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "teal-app"
version = "0"
[tool.setuptools]
include-package-data = false
[tool.setuptools.packages.find]
include = ["app*", "contract*"]
[tool.setuptools.package-data]
app = ["**/*"]
contract = ["**/*"]
"""
# A wheel keeps its files' modes, so the builder's umask would otherwise change the version.
_BUILD = "import os, sys; os.umask(0o022); from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"


@dataclass(frozen=True, slots=True)
class Version:
    """A built version. `id`: SHA-256 over wheel and lock. `python`: the interpreter with the lock's packages. `schema_min`,
    `schema_max`: revisions of the catalog that the code can serve."""

    id: str
    folder: str
    python: str
    label: str
    schema_min: str
    schema_max: str

    @property
    def code(self) -> Path:
        """The folder of the version's code, the first entry of PYTHONPATH."""
        return Path(self.folder) / "code"


def build(layout: Layout, source: Path, label: str = "") -> Version:
    """Build a version of `source`, a folder with app/ and contract/, or return the existing one.
    Takes seconds; minutes with a new lock."""
    missing = [package for package in PACKAGES if not (source / package / "__init__.py").is_file()]
    if missing:
        raise BadInput(f"There is no {missing[0]}/ to build here", where=str(source), next="teal release /path/of/the/project")
    layout.versions.mkdir(parents=True, exist_ok=True, mode=0o700)
    for package in PACKAGES:
        _refuse_foreign(source, source / package)
    lock = _lock(source)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=layout.versions) as name:
        making = Path(name)
        wheel = _wheel(source, making)
        identity = hashlib.sha256(wheel.read_bytes() + hashlib.sha256(lock).digest()).hexdigest()
        folder = layout.versions / identity
        if _read(folder) is not None and version_damage(folder) is None:
            return use(layout, identity)
        python = environments.ensure_interpreter(layout, lock)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(making / "whole" / "code")
        least, most = _schema(making / "whole" / "code", python)
        version = Version(identity, str(folder), python, label, least, most)
        (making / "whole" / LOCK).write_bytes(lock)
        code = making / "whole" / "code"
        note_digests(code, (path for path in code.rglob("*") if path.is_file()), making / "whole" / DIGESTS)
        _write_note(making / "whole", version)
        flush_tree(making / "whole")
        shutil.rmtree(folder, ignore_errors=True)  # a damaged version, or an incomplete one from a killed build
        os.rename(making / "whole", folder)
        flush_folder(layout.versions)
    return version


def find_version(layout: Layout, identity: str) -> Version:
    """Find a version by its id, the beginning of its id, or its label. Raises BadInput, which lists the existing versions."""
    have = _all(layout)
    fitting = [one for one in have if identity and (one.id.startswith(identity) or one.label == identity)]
    if len(fitting) != 1:
        known = ", ".join(f"{one.id[:12]} {one.label}".strip() for one in have) or "none"
        raise BadInput(f"{'Several versions are' if fitting else 'No version is'} called {identity[:64] or 'nothing'}; there are: {known}",
                       where=str(layout.versions), next="teal release PATH")  # fmt: skip
    (found,) = fitting
    return replace(found, python=environments.existing_interpreter(layout, _lock_of(found)) or found.python)


def use(layout: Layout, identity: str) -> Version:
    """Find a version for a release: checks its code, installs its packages again if they are missing,
    and marks it as the newest."""
    found = find_version(layout, identity)
    if said := version_damage(Path(found.folder)):
        raise BadInput(
            f"Version {found.id[:12]} is damaged: {said}",
            where=found.folder,
            next="teal release PATH, with the tree it came from",
        )
    python = environments.ensure_interpreter(layout, _lock_of(found))
    os.utime(found.folder)
    return replace(found, python=python)


def version_damage(folder: Path) -> str | None:
    """What is wrong with a version's code, compared with the digests from its unpacking; None when nothing is. Takes 10 ms."""
    return first_damaged_file(folder / "code", folder / DIGESTS)


def problem_of(layout: Layout, identity: str) -> str | None:
    """Why this version cannot be started: it or its note is gone, or its code is damaged; None when it can be."""
    folder = layout.versions / identity
    if not folder.is_dir():
        return f"{identity[:12]} is gone"
    return f"{NOTE} cannot be read" if _read(folder) is None else version_damage(folder)


def mend_note(layout: Layout, identity: str, label: str) -> bool:
    """Write a version's lost or damaged note again from its folder.
    Returns whether that was possible: the code must be undamaged."""
    folder = layout.versions / identity
    if (
        _read(folder) is not None
        or not ((folder / DIGESTS).is_file() and (folder / LOCK).is_file())
        or version_damage(folder) is not None
    ):
        return False
    python = environments.ensure_interpreter(layout, (folder / LOCK).read_bytes())
    least, most = _schema(folder / "code", python)
    _write_note(folder, Version(identity, str(folder), python, label, least, most))
    return True


def prune(layout: Layout, running: Collection[str]) -> None:
    """Remove versions that no color runs (`running`:
    ids), except the KEPT newest, then unneeded environments and leftovers of killed builds."""
    have = sorted(_all(layout), key=lambda one: _modified(Path(one.folder)), reverse=True)
    idle = [one for one in have if one.id not in running]
    for one in idle[KEPT:]:
        (Path(one.folder) / NOTE).unlink(missing_ok=True)  # removed first, so that a half-removed folder is no version any more
        shutil.rmtree(one.folder, ignore_errors=True)
    # The locks are read from the folders, so that a version with a damaged note keeps the environment that it may be running in.
    environments.prune(layout, [path.read_bytes() for path in layout.versions.glob(f"*/{LOCK}")])
    for litter in layout.versions.glob(".building-*"):
        if time.time() - _modified(litter) > LITTER_SECONDS:
            shutil.rmtree(litter, ignore_errors=True)


def _all(layout: Layout) -> list[Version]:
    found = (_read(path.parent) for path in sorted(layout.versions.glob(f"*/{NOTE}")))
    return [one for one in found if one is not None]


def _write_note(folder: Path, version: Version) -> None:
    write_private(folder / NOTE, json.dumps(asdict(version), indent=1) + "\n")


def _read(folder: Path) -> Version | None:
    """The version in this folder; None when it was removed by another release or its note is damaged,
    and the version must be rebuilt."""
    try:
        return Version(**json.loads((folder / NOTE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _modified(path: Path) -> float:
    """Time of the last change in Unix seconds; 0 when the path does not exist."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _lock_of(version: Version) -> bytes:
    kept = Path(version.folder) / LOCK
    return kept.read_bytes() if kept.is_file() else b""


def _refuse_foreign(source: Path, folder: Path) -> None:
    """Raise BadInput for links, special files and a folder over MOST_BYTES. A copy would follow links out of the tree: a link in
    `app/web` to a private key would be served to everybody."""
    found_bytes = 0
    for path in (folder, *sorted(folder.rglob("*"))):
        kind = path.lstat().st_mode
        if stat.S_ISLNK(kind):
            raise _not_ours(source, f"{path.relative_to(source)} is a link to {os.readlink(path)}")
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise _not_ours(source, f"{path.relative_to(source)} is no file and no folder")
        found_bytes += path.lstat().st_size
        if found_bytes > MOST_BYTES:
            raise _not_ours(source, f"{folder.name}/ has more than the {MOST_BYTES:,} bytes that a version may have")


def _not_ours(source: Path, what: str) -> BadInput:
    return BadInput(what, where=str(source), next=f"remove it, then teal release {source}")


def _lock(source: Path) -> bytes:
    own = source / LOCK
    if own.is_symlink():
        raise _not_ours(source, f"{LOCK} is a link to {os.readlink(own)}")
    place = own if own.is_file() else project() / LOCK
    return place.read_bytes() if place.is_file() else b""


def _wheel(source: Path, making: Path) -> Path:
    """Build the wheel from a clean copy, so that file modes, times and stray files in the tree do not change its bytes."""
    tree = making / "tree"
    for package in PACKAGES:
        shutil.copytree(
            source / package, tree / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", "Dockerfile", ".*")
        )
    (tree / "pyproject.toml").write_text(_PROJECT, encoding="utf-8")
    for path in tree.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    env = {"PATH": os.environ.get("PATH", os.defpath), "SOURCE_DATE_EPOCH": EPOCH, "LANG": "C.UTF-8"}
    command = (*GENTLY, sys.executable, "-I", "-c", _BUILD, str(making))
    try:
        done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(
            f"The wheel was not built within {BUILD_SECONDS:.0f} s", where=str(source), next="teal release PATH"
        ) from error
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BuildFailed(f"The wheel could not be built: {reason}", where=str(source), next="mend it, then teal release PATH")
    return making / done.stdout.strip().splitlines()[-1]


def _schema(code: Path, python: str) -> tuple[str, str]:
    """The oldest and newest catalog revision that the code can serve. The code itself reports them, without a database."""
    env = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(code), "PYTHONSAFEPATH": "1", "LANG": "C.UTF-8",
           "TEAL_STATE_DIR": str(code / "no-such-folder")}  # fmt: skip
    try:
        done = subprocess.run((*GENTLY, python, "-m", "app.admin", "schema"), cwd=code, env=env, capture_output=True, text=True,  # noqa: S603
                              timeout=BUILD_SECONDS, check=False)  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(f"`app.admin schema` of this tree did not end within {BUILD_SECONDS:.0f} s", where=str(code),
                          next="mend it, then teal release PATH") from error  # fmt: skip
    try:
        said = json.loads(done.stdout.strip().splitlines()[-1])
        if refused := said.get("error"):  # for example, a revision marked expand that removes something
            raise BuildFailed(
                f"This tree is no version: {refused['detail']}", where=str(code), next="mend it, then teal release PATH"
            )
        return str(said["min"]), str(said["max"])
    except (IndexError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = (done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or ["it said nothing"])[-1]
        raise BuildFailed(
            f"`app.admin schema` of this tree failed: {reason}", where=str(code), next="mend it, then teal release PATH"
        ) from error
