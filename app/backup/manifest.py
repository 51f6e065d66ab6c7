"""What a snapshot consists of, as data: the file `manifest.json` beside its encrypted copies."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import SnapshotRefused

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
MOST_BYTES: Final = 100_000  # of a manifest: a real one has a thousand
# A name that becomes a part of a path: no separator, no `..`, and nothing that a shell or SQL reads. Elasticsearch's own have dots in them.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$", max_length=200)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EncryptedFile(_Frozen):
    """A copy in the snapshot's folder, encrypted. `sha256` and `bytes` are of the encrypted file."""

    file: Name
    sha256: str
    bytes: int = Field(ge=0)


class CatalogCopy(_Frozen):
    """`documents`: how many were indexed. `external`: the database is kept by its own service (RDS), not by this snapshot."""

    kind: Literal["sqlite", "postgresql", "external"]
    revision: str
    documents: int = Field(ge=0)
    copy_of: EncryptedFile | None = None


class SearchCopy(_Frozen):
    """`repository` and `snapshot` name it inside Elasticsearch, where `copy_of` is None. `passages` None: taken by Elasticsearch's own
    schedule, which counts nothing."""

    kind: str  # the name of the search engine, as in app/providers.py
    index: Name
    passages: int | None = Field(ge=0)
    copy_of: EncryptedFile | None = None
    repository: Name | None = None
    snapshot: Name | None = None


class Manifest(_Frozen):
    """Search was copied at `started_at` or later, the catalog after it: what the catalog calls indexed before `started_at` is in both.
    `seal` says that it was written by somebody who has the snapshots' key (`encryption.with_seal`): whoever can only write into the folder or
    bucket cannot make one. What a snapshot holds is executed when it is put back (SQL of a dump, keys of a catalog)."""

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
        """Whether it has copies that no version with seals made, so that this version does not open them."""
        return not self.seal and (self.search.copy_of is not None or self.catalog.copy_of is not None)

    @property
    def bytes(self) -> int:
        """Size of the copies here; what Elasticsearch keeps in its repository is not counted."""
        return sum(one.bytes for one in (self.search.copy_of, self.catalog.copy_of) if one)


def new_id() -> str:
    """Sorts by time."""
    return f"s{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def parsed(text: bytes, where: str, id: str) -> Manifest:
    """Raises SnapshotRefused for what is no manifest of this version, or that of another snapshot than `id`; `where` names the file."""
    if len(text) > MOST_BYTES:
        raise SnapshotRefused(f"{where} is no manifest: it has more than {MOST_BYTES} bytes.")
    try:
        found = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise SnapshotRefused(f"{where} is no manifest of this version: {error.errors()[0]['msg']}.") from error
    if found.id != id:
        raise SnapshotRefused(f"{where} is the manifest of another snapshot, {found.id}.")
    return found
