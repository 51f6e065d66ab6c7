"""The store of snapshots in a bucket of S3 or a compatible service (AWS_ENDPOINT_URL):
`<id>/manifest.json` with the copies beside it.

Copies pass through the folder TEAL_BACKUP_DIR, which needs room for one snapshot. Tested against moto, never run on AWS.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from app.backup.manifest import MANIFEST, MOST_BYTES, Manifest, parsed
from app.backup.port import LIST, StoredSnapshots, UnreadableSnapshot, snapshot_not_found, sorted_out
from app.backup.stores.folder import FolderStore
from app.errors import BackupFailed, SnapshotRefused
from app.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3SnapshotStore:
    """A snapshot store in a bucket. The manifest is written last and removed first, as in the folder store."""

    retires = True
    seals = True

    def __init__(self, settings: Settings, client: S3Client | None = None) -> None:
        if not settings.backup_bucket:
            raise BackupFailed("TEAL_BACKUP_STORE is s3 and no bucket is named. Next: set TEAL_BACKUP_BUCKET.")
        self._bucket = settings.backup_bucket
        self._client: S3Client = client or boto3.client("s3", region_name=settings.aws_region)
        self._staging = FolderStore(settings.backup_dir)

    def kept(self) -> StoredSnapshots:
        return sorted_out(self._read())

    def snapshots(self) -> list[Manifest]:
        return self.kept().snapshots

    def find(self, id: str) -> Manifest:
        with self._errors():
            try:
                body = self._client.get_object(Bucket=self._bucket, Key=f"{id}/{MANIFEST}")["Body"].read(MOST_BYTES + 1)
            except self._client.exceptions.NoSuchKey as error:
                known = sorted((key.partition("/")[0] for key in self._keys() if key.endswith(MANIFEST)), reverse=True)
                raise snapshot_not_found(
                    f"snapshot {id[:64]} in the bucket {self._bucket} ({', '.join(known[:3]) or 'it has none'})", [], action=LIST
                ) from error
        return parsed(body, f"s3://{self._bucket}/{id}/{MANIFEST}", id)

    def _read(self) -> Iterator[Manifest | UnreadableSnapshot]:
        for key in self._keys():
            if key.endswith(f"/{MANIFEST}"):
                id = key.removesuffix(f"/{MANIFEST}")
                try:
                    yield self.find(id)
                except SnapshotRefused as error:
                    yield UnreadableSnapshot(id, error.detail)

    def prepare(self, id: str) -> Path:
        return self._staging.prepare(id)

    def keep(self, made: Manifest) -> None:
        self._staging.keep(made)
        folder = self._staging.home / made.id
        with self._errors():
            for path in sorted(folder.iterdir(), key=lambda one: one.name == MANIFEST):
                self._client.upload_file(str(path), self._bucket, f"{made.id}/{path.name}")
        self._staging.remove(made.id)

    def fetch(self, id: str, file: str) -> Path:
        path = self._staging.home / id / file
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._errors():
            try:
                self._client.download_file(self._bucket, f"{id}/{file}", str(path))
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != "404":
                    raise
                raise SnapshotRefused(f"The copy {file} of {id} is gone from the bucket {self._bucket}.") from error
        return path

    def remove(self, id: str) -> None:
        self._staging.remove(id)
        with self._errors():
            for key in sorted(self._keys(f"{id}/"), key=lambda one: not one.endswith(MANIFEST)):
                self._client.delete_object(Bucket=self._bucket, Key=key)

    def cut_off(self, before: datetime) -> list[str]:
        youngest: dict[str, datetime] = {}
        whole = set()
        for one in self._objects():
            id, _, name = one["Key"].partition("/")
            youngest[id] = max(youngest.get(id, one["LastModified"]), one["LastModified"])
            if name == MANIFEST:
                whole.add(id)
        return [*self._staging.cut_off(before), *(id for id, moment in youngest.items() if id not in whole and moment < before)]

    def alone(self) -> AbstractContextManager[None]:
        """A lock among the processes of this machine only."""
        return self._staging.alone()

    def _keys(self, prefix: str = "") -> list[str]:
        return [one["Key"] for one in self._objects(prefix)]

    def _objects(self, prefix: str = "") -> list[dict[str, Any]]:
        with self._errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            return [dict(one) for page in pages for one in page.get("Contents", [])]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise BackupFailed(f"The bucket {self._bucket} of the snapshots does not answer as it should: {error}.") from error
