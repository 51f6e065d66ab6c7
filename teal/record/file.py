"""The record in a folder. Compare-and-set uses hard links and no lock,
so a frozen process never blocks the write of a rollback."""

from __future__ import annotations

import os
import re
import shlex
import uuid
from pathlib import Path

from pydantic import ValidationError

from teal.errors import OperatorError
from teal.record.model import LostRace, Record, Version

ABSENT = Version("absent")
KEPT = 200  # older states of the record: about five releases to look back on; 1 to 3 KB each
_STATE = re.compile(r"(\d{12})\.json")


class StoreFailed(OperatorError):
    """The record or an object can not be read or written."""

    code = "store-failed"

    def __init__(self, what: str, where: str, next: str = "teal doctor") -> None:
        super().__init__(what, where=where, next=next)


class FileStore:
    """State n of the record is `record/<n>.json`, with n in twelve digits. The first process that links n+1 has written it.

    No file is ever rewritten, so a reader sees complete states only. A write costs one fsync (about 1 ms on an SSD). The folder
    must be on one file system, not on NFS.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._states = folder / "record"

    def read(self) -> tuple[Record, Version]:
        path = self._states
        try:
            newest = self._newest()
            if newest == 0:
                return Record(), ABSENT
            path = self._state(newest)
            return Record.model_validate_json(path.read_bytes()), Version(str(newest))
        except FileNotFoundError:
            return self.read()  # pruned between listing and reading: 200 newer states exist
        except OSError as error:
            raise StoreFailed(f"The release record can not be read: {_reason(error)}", str(path)) from error
        except ValidationError as error:
            # The previous state is undamaged.
            # Once the damaged one is moved away, repair compares the previous one with what runs.
            raise StoreFailed(
                "The newest state of the release record is damaged, or a newer Teal wrote it: it is not a record",
                str(path),
                f"mv {shlex.quote(str(path))} {shlex.quote(f'{path}.damaged')}; teal repair",
            ) from error

    def write(self, record: Record, *, expected: Version) -> Version:
        number = 1 if expected == ABSENT else int(expected) + 1
        try:
            self._states.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._put(self._state(number), record.model_dump_json(indent=1).encode()):
                raise LostRace(str(self._states))
            if self._newest() >= number + KEPT:
                # The state after `expected` was pruned long ago, so its name was free for the link.
                self._state(number).unlink(missing_ok=True)
                raise LostRace(str(self._states))
            self._prune(number)
        except OSError as error:
            raise StoreFailed(f"The release record can not be written: {_reason(error)}", str(self._states)) from error
        return Version(str(number))

    def create(self, key: str, body: bytes) -> None:
        path = self._object(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._put(path, body) and path.read_bytes() != body:
                raise LostRace(str(path))
        except OSError as error:
            raise StoreFailed(f"It can not be written: {_reason(error)}", str(path)) from error

    def fetch(self, key: str) -> bytes | None:
        path = self._object(key)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreFailed(f"It can not be read: {_reason(error)}", str(path)) from error

    def path(self, key: str) -> Path:
        """The path of an object, for people."""
        return self._object(key)

    def _newest(self) -> int:
        try:
            found = (_STATE.fullmatch(entry.name) for entry in os.scandir(self._states))
            return max((int(name[1]) for name in found if name), default=0)
        except FileNotFoundError:
            return 0

    def _state(self, number: int) -> Path:
        return self._states / f"{number:012}.json"

    def _object(self, key: str) -> Path:
        path = (self._folder / key).resolve()
        if not path.is_relative_to(self._folder.resolve()) or path.is_relative_to(self._states.resolve()):
            raise StoreFailed("The key leads out of the store", key)
        return path

    def _put(self, path: Path, body: bytes) -> bool:
        """Write `body` to `path` completely and flush it, if the path is free; returns whether it was."""
        making = self._folder / f".{uuid.uuid4().hex}"
        try:
            with making.open("xb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            os.link(making, path)
        except FileExistsError:
            return False
        finally:
            making.unlink(missing_ok=True)
        return True

    def _prune(self, newest: int) -> None:
        if newest > KEPT:
            self._state(newest - KEPT).unlink(missing_ok=True)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
