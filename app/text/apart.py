"""Parses and cuts users' files in child processes with limits on time and memory: a
hostile file can only waste its own minute."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from app.errors import DocumentRejected
from app.text.child import LENGTH, write_frame
from app.text.document import Chunk, ChunkLimits, CutDocument, ParsedDocument
from app.text.rejection import called

SECONDS: Final = 60  # 480 pages of PDF take 2 s; a 10 MB text takes 5 s to cut
MEMORY_BYTES: Final = 1_000_000_000  # address space; a sound 10 MB file needs a fifth of it
_GRACE_SECONDS: Final = 10.0  # added to the child's own alarm, for a child that gets too little CPU
_ASK_SECONDS: Final = 0.5  # between two questions whether the document is still wanted
_READ_BYTES: Final = 1 << 20
# The only environment variables that a reader process gets; none is secret.
_ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT")
# One thread and one heap for each: reserved address space counts against the limit, and the worker has threads of its own.
_ONE_THREAD: Final = {"MALLOC_ARENA_MAX": "1", "TOKIO_WORKER_THREADS": "1", "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

Wanted = Callable[[], bool]


class NoLongerWanted(Exception):
    """The document was deleted or queued again while it was being read."""


class ReaderProcesses:
    """A pool of child processes that read documents. Thread-safe: each document has a child to itself."""

    def __init__(self, *, seconds: int = SECONDS, memory_bytes: int = MEMORY_BYTES) -> None:
        self._seconds, self._memory_bytes = seconds, memory_bytes
        self._idle: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def parse(self, body: bytes, media_type: str, filename: str | None) -> ParsedDocument:
        """Like `app.text.parse.parse`, but also rejects a file that exceeds the limits."""
        answer = self._read(body, media_type, filename, None, None)
        return ParsedDocument(
            answer["title"], answer["text"], tuple(answer["pages"]), tuple(answer["warnings"]), answer["metadata"]
        )

    def read(
        self, body: bytes, media_type: str, filename: str | None, cutting: ChunkLimits, wanted: Wanted | None = None
    ) -> CutDocument:
        """Parse and cut. Raises `DocumentRejected`, and `NoLongerWanted` soon after `wanted` answers False."""
        answer = self._read(body, media_type, filename, cutting, wanted)
        chunks = tuple(Chunk(**chunk) for chunk in answer["chunks"])
        return CutDocument(answer["title"], chunks, tuple(answer["warnings"]), answer["metadata"])

    def close(self) -> None:
        """End the idle children."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            _end(child)

    def _read(
        self, body: bytes, media_type: str, filename: str | None, cutting: ChunkLimits | None, wanted: Wanted | None
    ) -> Any:
        request = {
            "media_type": media_type, "filename": filename, "seconds": self._seconds, "memory_bytes": self._memory_bytes,
            "cutting": [cutting.target_tokens, cutting.overlap_tokens] if cutting else None,
        }  # fmt: skip
        answer = self._asked(json.dumps(request).encode(), body, wanted)
        if "rejected" in answer:
            raise DocumentRejected(answer["rejected"])
        if "ended" in answer:
            reason = {
                "time": f"reading it took more than {self._seconds} s", "depth": "it is nested too deeply",
            }.get(answer["ended"], "its reader needed too much memory or crashed")  # fmt: skip
            raise DocumentRejected(f"{called(filename)} is broken: {reason}.")
        return answer

    def _asked(self, request: bytes, body: bytes, wanted: Wanted | None) -> dict[str, Any]:
        child = self._take()
        try:
            assert child.stdin is not None  # noqa: S101 - it was started with a pipe
            write_frame(child.stdin, request)
            write_frame(child.stdin, body)
            answer: dict[str, Any] = json.loads(self._answer(child, wanted))
        except (BrokenPipeError, EOFError):
            _end(child)
            return {"ended": "crash"}
        except TimeoutError:
            _end(child)
            return {"ended": "time"}
        except BaseException:
            _end(child)
            raise
        with self._lock:
            self._idle.append(child)
        return answer

    def _answer(self, child: subprocess.Popen[bytes], wanted: Wanted | None) -> bytes:
        deadline = time.monotonic() + self._seconds + _GRACE_SECONDS
        received = bytearray()
        while len(received) < LENGTH.size or len(received) < LENGTH.size + LENGTH.unpack_from(received)[0]:
            received += _some(child, deadline, wanted)
        return bytes(received[LENGTH.size :])

    def _take(self) -> subprocess.Popen[bytes]:
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.poll() is None:
                    return child
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | _ONE_THREAD
        return subprocess.Popen(
            [sys.executable, "-m", "app.text.child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=environment, start_new_session=True,
        )  # fmt: skip


def _some(child: subprocess.Popen[bytes], deadline: float, wanted: Wanted | None) -> bytes:
    assert child.stdout is not None  # noqa: S101 - it was started with a pipe
    while not select.select([child.stdout], [], [], _ASK_SECONDS)[0]:
        if time.monotonic() > deadline:
            raise TimeoutError
        if wanted is not None and not wanted():
            raise NoLongerWanted
    some = os.read(child.stdout.fileno(), _READ_BYTES)
    if not some:
        raise EOFError
    return some


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the child together with the fork that reads, and close its pipes."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    child.wait()


READERS: Final = ReaderProcesses()  # starts nothing until the first document
