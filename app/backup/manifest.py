"""The manifest of a snapshot, the file `manifest.json` beside its encrypted copies."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import SnapshotRefused

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
MOST_BYTES: Final = 100_000  # the largest manifest that is read; a real one has a thousand
# A name that becomes part of a path: without separators, `..`, and characters that are special to a shell or
# SQL. Elasticsearch's names contain dots.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$", max_length=200)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EncryptedFile(_Frozen):
    """A copy in the snapshot's folder, encrypted. `sha256` and `bytes` are of the encrypted file."""

    file: Name
    sha256: str
    bytes: int = Field(ge=0)


class CatalogCopy(_Frozen):
    """The copy of the catalog. `documents`: how many were indexed. `external`: the database's own service (RDS) makes
    its copies, and this snapshot has none."""

    kind: Literal["sqlite", "postgresql", "external"]
    revision: str
    documents: int = Field(ge=0)
    copy_of: EncryptedFile | None = None


class SearchCopy(_Frozen):
    """The copy of the search index. For a snapshot inside Elasticsearch `repository` and `snapshot` name it, and `copy_of` is
    None. `passages` is None for a snapshot by Elasticsearch's own schedule, which does not count them."""

    kind: str  # the name of the search engine, as in app/providers.py
    index: Name
    passages: int | None = Field(ge=0)
    copy_of: EncryptedFile | None = None
    repository: Name | None = None
    snapshot: Name | None = None


class Manifest(_Frozen):
    """The manifest of one snapshot. Search was copied at `started_at` or later, and the catalog after it, so a document that
    was indexed before `started_at` is in both.

    `seal` proves that the author has the secret key of the snapshots (`encryption.with_seal`); write access to
    the folder or bucket is not enough to make one. That matters because a restore executes a snapshot's content
    (the SQL of a dump, the keys of a catalog).
    """

    format: Literal[1] = FORMAT
    id: Name
    started_at: datetime
    finished_at: datetime
    release_id: str = ""
    search: SearchCopy
    catalog: CatalogCopy
    seal: str = ""

    @property
    def is_of_before_seals(self) -> bool:
        """Whether it has encrypted copies but no seal, so that an older version made it and this version does not open it."""
        return not self.seal and (self.search.copy_of is not None or self.catalog.copy_of is not None)

    @property
    def bytes(self) -> int:
        """The size of the encrypted copies; data in Elasticsearch's repository is not counted."""
        return sum(one.bytes for one in (self.search.copy_of, self.catalog.copy_of) if one)


def new_id() -> str:
    """A new snapshot id; ids sort by time."""
    return f"s{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def parsed(text: bytes, where: str, id: str) -> Manifest:
    """Parse a manifest. Raises SnapshotRefused if it is not a manifest of this version or belongs to another
    snapshot than `id`; `where` names the file."""
    if len(text) > MOST_BYTES:
        raise SnapshotRefused(f"{where} is no manifest: it has more than {MOST_BYTES} bytes.")
    try:
        found = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise SnapshotRefused(f"{where} is no manifest of this version: {error.errors()[0]['msg']}.") from error
    if found.id != id:
        raise SnapshotRefused(f"{where} is the manifest of another snapshot, {found.id}.")
    return found
