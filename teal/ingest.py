"""Uploads files to the service and follows each until it is indexed or has failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from teal.client.service import Client, words
from teal.errors import BadInput, NeedsHuman, OperatorError, ServiceRefused, Unreachable

POLL_SECONDS = 0.5
# Ingestion counts as stalled when no document was finished for this long. A document of 10 MB has about 10,000 passages, which
# take 15 minutes at the 11 a second of two cores.
STALLED_SECONDS = 1800.0
WINDOW = 16  # documents asked about per round: the queue is first in, first out, with 8 at a time
FINISHED = ("indexed", "failed")


@dataclass(frozen=True, slots=True)
class FileProgress:
    """One file so far. `status`: queued, processing, indexed, failed, or refused (the service did not take it)."""

    path: Path
    status: str
    document_id: str | None = None
    reason: str | None = None
    action: str | None = None

    @property
    def failed(self) -> bool:
        return self.status in ("failed", "refused")


def require_there(paths: Sequence[Path]) -> None:
    """Raise BadInput for a path that is neither file nor folder. This needs no service, so it is checked first."""
    for path in paths:
        if not path.is_dir() and not path.is_file():
            raise BadInput("There is no such file or folder", where=words(path), next="teal ingest PATH")


def readable_suffixes(client: Client) -> tuple[str, ...]:
    """The file name suffixes that this service can read, in lower case, with their dot."""
    return tuple(f".{suffix}" for one in client.get("/v1/formats")["items"] for suffix in one["suffixes"])


def files_to_send(paths: Sequence[Path], suffixes: Sequence[str]) -> list[Path]:
    """The files to send: those named, and those in named folders whose suffix can be read. Raises BadInput."""
    require_there(paths)
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*") if each.is_file() and each.suffix.lower() in suffixes
                            and not any(part.startswith(".") for part in each.relative_to(path).parts))  # fmt: skip
            if not inside:
                raise BadInput(f"No file that can be read ({', '.join(suffixes)})", where=words(path), next="teal ingest FOLDER")
            found += inside
        else:
            if path.suffix.lower() not in suffixes:
                raise BadInput(
                    f"This type of file cannot be read; these can: {', '.join(suffixes)}",
                    where=words(path),
                    next="teal ingest PATH",
                )
            found.append(path)
    return list(dict.fromkeys(found))


def skipped_files(paths: Sequence[Path], suffixes: Sequence[str]) -> list[Path]:
    """The files in named folders that `files_to_send` leaves out: unreadable types, and names that begin with a dot."""
    taken = set(files_to_send(paths, suffixes))
    inside = (each for path in paths if path.is_dir() for each in sorted(path.rglob("*")) if each.is_file())
    return [each for each in dict.fromkeys(inside) if each not in taken]


def send_files(client: Client, files: Sequence[Path], collection: str | None) -> Iterator[FileProgress]:
    """Upload each file; yields one result per file.
    Raises the error itself when the service is unreachable or refuses the key."""
    for path in files:
        try:
            accepted = client.upload(path, collection)
            yield FileProgress(path, str(accepted["status"]), str(accepted["id"]))
        except OSError as error:
            yield FileProgress(
                path, "refused", None, f"it cannot be read: {error.strerror or error}", "Check the file's permissions."
            )
        except ValueError as error:
            yield FileProgress(path, "refused", None, f"it cannot be sent: {type(error).__name__}", "Rename the file.")
        except Unreachable as error:
            if not _answers(client):
                raise
            yield FileProgress(
                path, "refused", None, f"the connection ended while it was sent ({error.what})", "Send it again, or split it."
            )
        except ServiceRefused as error:
            if error.status in (401, 403, 429, 502, 503, 504, 507):  # the next file would fare no better
                raise
            yield FileProgress(path, "refused", None, error.what, error.next)


def _answers(client: Client) -> bool:
    """Whether the service answers. If it does, this one file was the reason why the connection broke."""
    try:
        client.get("/healthz")
    except OperatorError:
        return False
    return True


def wait_for_documents(
    client: Client, sent: Sequence[FileProgress], *, pause: Callable[[float], None] = time.sleep
) -> Iterator[FileProgress]:
    """Yield each document when it is finished, until all are. Raises NeedsHuman when none was finished for STALLED_SECONDS."""
    waiting = {one.document_id: one for one in sent if one.document_id and one.status not in FINISHED}
    yield from (_finished(client, one) for one in sent if one.document_id not in waiting)
    stalled_seconds = 0.0
    while waiting:
        if stalled_seconds >= STALLED_SECONDS:
            raise NeedsHuman(f"{len(waiting)} of {len(sent)} are accepted and wait, and none was finished for {STALLED_SECONDS / 60:.0f} min. "
                             "They are kept, and go on by themselves", where="the worker", next="teal status, then teal logs worker")  # fmt: skip
        finished_now = 0
        for document_id, one in list(waiting.items())[:WINDOW]:
            now = _finished(client, one)
            if now.status in FINISHED:
                del waiting[document_id]
                finished_now += 1
                yield now
        stalled_seconds = 0.0 if finished_now else stalled_seconds + POLL_SECONDS
        if not finished_now:
            pause(POLL_SECONDS)


def _finished(client: Client, one: FileProgress) -> FileProgress:
    if one.document_id is None or one.status == "indexed":
        return one
    try:
        document = client.document(one.document_id)
    except ServiceRefused as error:
        if error.status != 404:
            raise
        return FileProgress(one.path, "failed", one.document_id, "it was deleted meanwhile", "teal ingest it again")
    problem = document.get("error") or {}
    return FileProgress(one.path, str(document["status"]), one.document_id, problem.get("detail"), problem.get("action"))


def ingest_summary(results: Sequence[FileProgress]) -> dict[str, object]:
    """Counts and failures, JSON-ready."""
    failures = [
        {"path": words(one.path), "status": one.status, "reason": one.reason, "action": one.action}
        for one in results
        if one.failed
    ]
    return {
        "files": len(results),
        "indexed": sum(one.status == "indexed" for one in results),
        "failed": len(failures),
        "failures": failures,
    }
