"""The child process that parses users' files: `python -m app.text.child`, started by `app/text/apart.py`.

It forks for every document, so that a document's memory, time and damage end with its fork, and a new document costs milliseconds
instead of the start of an interpreter. Requests and answers are frames on standard input and output: 8 bytes of length, then the
content. A request is two frames: JSON, then the file's bytes.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import struct
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import IO, Any, Final

LENGTH: Final = struct.Struct(">Q")
_OPEN_FILES: Final = 64  # libraries are loaded before the fork; reading a document opens no file
_DIED_IN_TIME: Final = (signal.SIGXCPU, signal.SIGALRM)
# At the soft limit of CPU Linux sends SIGXCPU, which says why; at the hard one SIGKILL, which does not. So the hard one is later.
_HARD_LIMIT_LATER_SECONDS: Final = 1


def main() -> None:
    """Serve requests until standard input ends."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a library prints must not be taken for an answer
    while (head := read_frame(requests)) is not None:
        body = read_frame(requests) or b""
        request = json.loads(head)
        _load_libraries(request["media_type"])
        write_frame(answers, read_in_fork(request, body))


def read_frame(stream: IO[bytes]) -> bytes | None:
    """The next frame; None at the end of the stream."""
    length = stream.read(LENGTH.size)
    return stream.read(LENGTH.unpack(length)[0]) if len(length) == LENGTH.size else None


def write_frame(stream: IO[bytes], content: bytes) -> None:
    stream.write(LENGTH.pack(len(content)) + content)
    stream.flush()


def _load_libraries(media_type: str) -> None:
    """Import a format's libraries in this process, so that every fork already has them."""
    from app.text import chunk, parse  # noqa: F401
    from app.text.formats import BY_MEDIA_TYPE

    if media_type in BY_MEDIA_TYPE:
        for name in BY_MEDIA_TYPE[media_type].libraries:
            with suppress(ImportError):  # the reader itself then fails and names the library
                importlib.import_module(name)


def read_in_fork(request: dict[str, Any], body: bytes) -> bytes:
    """The answer to one request, read in a process of its own within the limits that the request names; how it ended, where it gave none."""
    received, sent = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(received)
            with os.fdopen(sent, "wb") as pipe:
                pipe.write(_limited(request, body))
            code = 0
        finally:
            os._exit(code)
    os.close(sent)
    with os.fdopen(received, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in _DIED_IN_TIME:
        return b'{"ended": "time"}'
    return answer if status == 0 and answer else b'{"ended": "crash"}'


def _limited(request: dict[str, Any], body: bytes) -> bytes:
    seconds, memory_bytes = int(request["seconds"]), int(request["memory_bytes"])
    signal.alarm(seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + _HARD_LIMIT_LATER_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    if sys.platform == "linux":  # macOS refuses this limit, so there only the time limit applies
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    return json.dumps(_answer(request, body)).encode()


def _answer(request: dict[str, Any], body: bytes) -> dict[str, Any]:
    from app.errors import DocumentRejected
    from app.text.chunk import cut_into_passages
    from app.text.document import ChunkLimits
    from app.text.parse import parse

    try:
        parsed = parse(body, request["media_type"], request["filename"])
        if request["cutting"] is None:
            return asdict(parsed)
        return asdict(cut_into_passages(parsed, ChunkLimits(*request["cutting"])))
    except DocumentRejected as rejection:
        return {"rejected": rejection.detail}
    except MemoryError:
        return {"ended": "crash"}
    except RecursionError:
        return {"ended": "depth"}


if __name__ == "__main__":
    main()
