"""The record in a versioned S3 bucket. Compare-and-set by conditional writes (IfMatch, IfNoneMatch)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

import stamina
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from contract.names import RELEASE_RECORD
from teal.errors import OperatorError
from teal.record.file import ABSENT, StoreFailed
from teal.record.model import LostRace, Record, Version

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_Answer = TypeVar("_Answer")
RECORD: Final = RELEASE_RECORD
_CONFLICT_TRIES: Final = 8  # 409: another conditional write of the same key is in flight; they last tens of milliseconds
_LOST: Final = ("PreconditionFailed", "412", "NoSuchKey", "404")


def client_config() -> Config:
    """Configuration of `S3RecordStore`'s client: short time limits, because the releaser reads the record before each shift."""
    return Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 3, "mode": "standard"})


class S3RecordStore:
    """Record and objects under `prefix` of `bucket`. A read or write is one request, unless two writers collide."""

    def __init__(self, client: S3Client, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def read(self) -> tuple[Record, Version]:
        found = self._get(RECORD)
        if found is None:
            return Record(), ABSENT
        body, stamp = found
        try:
            return Record.model_validate_json(body), Version(stamp)
        except ValidationError as error:
            raise StoreFailed("The release record is not a record", self._where(RECORD), _versions(self._bucket)) from error

    def write(self, record: Record, *, expected: Version) -> Version:
        body = record.model_dump_json(indent=1).encode()
        try:
            if expected == ABSENT:
                return Version(self._put(RECORD, body, absent=True))
            return Version(self._put(RECORD, body, match=expected))
        except LostRace:
            # When a response is lost, botocore repeats the request, which then conflicts with the first. Records of two writers #
            # differ in token or generation, so identical bytes were written by this process.
            found = self._get(RECORD)
            if found is not None and found[0] == body:
                return Version(found[1])
            raise

    def create(self, key: str, body: bytes) -> None:
        try:
            self._put(key, body, absent=True)
        except LostRace:
            if self.fetch(key) != body:
                raise

    def fetch(self, key: str) -> bytes | None:
        found = self._get(key)
        return None if found is None else found[0]

    def _get(self, key: str) -> tuple[bytes, str] | None:
        def ask() -> tuple[bytes, str]:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            return answer["Body"].read(), answer["ETag"]

        try:
            return self._tell(key, ask)
        except LostRace:
            return None  # 404

    def _put(self, key: str, body: bytes, *, match: str | None = None, absent: bool = False) -> str:
        kind = "text/html; charset=utf-8" if key.endswith(".html") else "application/json"
        name = self._prefix + key

        def ask() -> str:
            if absent:
                return self._client.put_object(Bucket=self._bucket, Key=name, Body=body, ContentType=kind, IfNoneMatch="*")[
                    "ETag"
                ]
            return self._client.put_object(Bucket=self._bucket, Key=name, Body=body, ContentType=kind, IfMatch=match or "")[
                "ETag"
            ]

        return self._tell(key, ask)

    def _tell(self, key: str, ask: Callable[[], _Answer]) -> _Answer:
        """The response. Raises LostRace for 412 and 404, and a StoreFailed with a message for everything else. 409 is tried again."""
        try:
            for attempt in stamina.retry_context(
                on=_conflict, attempts=_CONFLICT_TRIES, timeout=5.0, wait_initial=0.05, wait_max=0.5
            ):
                with attempt:
                    return ask()
        except ClientError as error:
            said = error.response.get("Error", {})
            code = said.get("Code", "")
            if code in _LOST:
                raise LostRace(self._where(key)) from error
            raise StoreFailed(f"S3 refused: {code}: {said.get('Message', '')}", self._where(key),
                              "aws sts get-caller-identity") from error  # fmt: skip
        except (BotoCoreError, OSError) as error:
            raise StoreFailed(f"S3 did not answer: {error}", self._where(key), "aws sts get-caller-identity") from error
        raise OperatorError("unreachable: the loop returns or raises", where=key, next="teal history")

    def _where(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{key}"


def _conflict(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in ("ConditionalRequestConflict", "409")


def _versions(bucket: str) -> str:
    return f"aws s3api list-object-versions --bucket {bucket} --prefix {RECORD}"
