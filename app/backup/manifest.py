"""What a snapshot consists of, as data. On a laptop it is `<backup folder>/<id>/manifest.json`; on AWS Elasticsearch's repository is the shelf."""

from __future__ import annotations

import os
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from app.errors import NotFound, SnapshotRefused

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
LIST: Final = "`teal snapshots`; `teal rebuild` fills search from the catalog alone."


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SealedFile(_Frozen):
    """A copy in the snapshot's folder, encrypted. `sha256` and `bytes` are of the encrypted file."""

    file: str
    sha256: str
    bytes: int


class CatalogPart(_Frozen):
    """`documents`: how many were indexed. `external`: the database is kept by its own service (RDS), not by this snapshot."""

    kind: Literal["sqlite", "postgresql", "external"]
    revision: str
    documents: int
    copy_of: SealedFile | None = None


class SearchPart(_Frozen):
    """`repository` and `snapshot` name it inside Elasticsearch, where `copy_of` is None. `passages` None: taken by Elasticsearch's own
    schedule, which counts nothing."""

    kind: Literal["embedded", "elasticsearch"]
    index: str
    passages: int | None
    copy_of: SealedFile | None = None
    repository: str | None = None
    snapshot: str | None = None


class Manifest(_Frozen):
    """Search was copied at `started_at` or later, the catalog after it: what the catalog calls indexed before `started_at` is in both."""

    format: Literal[1] = FORMAT
    id: str
    started_at: datetime
    finished_at: datetime
    release_id: str = ""
    search: SearchPart
    catalog: CatalogPart

    @property
    def bytes(self) -> int:
        """Size of the copies here; what Elasticsearch keeps in its repository is not counted."""
        return sum(one.bytes for one in (self.search.copy_of, self.catalog.copy_of) if one)


def new_id() -> str:
    """Sorts by time."""
    return f"s{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def folder_of(home: Path, id: str) -> Path:
    return home / id


def manifests(home: Path) -> list[Manifest]:
    """Every whole snapshot, newest first; one that was cut off has no manifest and is not there."""
    found = []
    for path in home.glob(f"*/{MANIFEST}"):
        try:
            found.append(Manifest.model_validate_json(path.read_bytes()))
        except (ValidationError, OSError):
            continue  # `read` says what is wrong with it
    return sorted(found, key=lambda one: one.finished_at, reverse=True)


def read(home: Path, id: str) -> Manifest:
    """One snapshot. Raises NotFound, or SnapshotRefused for a manifest that is none."""
    path = folder_of(home, id) / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        known = ", ".join(one.id for one in manifests(home)[:5]) or "none"
        raise NotFound(f"There is no snapshot {id[:64]} in {home}; the newest: {known}.", action=LIST) from error
    except ValidationError as error:
        raise SnapshotRefused(f"{path} is no manifest of this version: {error.errors()[0]['msg']}.") from error


def keep(home: Path, content: Manifest) -> None:
    """Write the manifest whole, readable by its owner alone: from now on the snapshot exists."""
    folder = folder_of(home, content.id)
    part = folder / f"{MANIFEST}.part"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(content.model_dump_json(indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, folder / MANIFEST)


def prepare(home: Path, id: str) -> Path:
    """A folder for a new snapshot, closed to other users."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = folder_of(home, id)
    folder.mkdir(mode=0o700)
    return folder


def remove(home: Path, id: str) -> None:
    """The manifest goes first: what is half removed is no snapshot any more."""
    folder = folder_of(home, id)
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
