"""The usual causes why a program does not start, recognised in the end of its log,
each with an explanation and the next command."""

from __future__ import annotations

import re
from dataclasses import dataclass

from teal.errors import OperatorError


@dataclass(frozen=True, slots=True)
class StartFailureCause:
    """`what` is wrong, and the command that goes on."""

    what: str
    next: str


# The first match wins, so the most specific patterns come first.
_CAUSES: tuple[tuple[str, StartFailureCause], ...] = (
    (
        r"address already in use|EADDRINUSE|Could not create server TCP listening socket",
        StartFailureCause("its port is taken by another program", "teal down, then teal up: the stack takes other inner ports"),
    ),
    (
        r"no space left|ENOSPC|database or disk is full|disk quota exceeded",
        StartFailureCause("the disk is full", "free some: runbooks/disk-full.md, then teal up"),
    ),
    (
        r"too many open files|EMFILE|ENFILE|file descriptors",
        StartFailureCause("too few files may be open at once (`ulimit -n`)", "ulimit -n 4096, then teal up"),
    ),
    (
        r"read-only file system|EROFS|readonly database",
        StartFailureCause("the folder cannot be written: its file system is read-only", "TEAL_HOME=/another/folder teal up"),
    ),
    (
        r"cannot allocate memory|out of memory|MemoryError|OutOfMemoryError|insufficient memory",
        StartFailureCause("there is not enough memory", "end what needs the memory, then teal up"),
    ),
    (
        r"database disk image is malformed|file is not a database|malformed database schema",
        StartFailureCause(
            "a database file is damaged",
            "teal down, then teal up: it sets the damaged file aside and says how to get the data back",
        ),
    ),
    (
        r"certificate has expired|x509|tls: failed|parsing certificate|parsing PEM|asn1:|private key",
        StartFailureCause(
            "one of Caddy's certificate files is damaged or has expired", "teal down, then teal up: it makes new ones"
        ),
    ),
    (
        r"permission denied|EACCES|operation not permitted",
        StartFailureCause("it may not read or write one of its files", "teal doctor; the folder must belong to you"),
    ),
    (
        r"ModuleNotFoundError|ImportError|SyntaxError|source code string cannot contain null bytes|EOF read where",
        StartFailureCause(
            "the code of its version is damaged or incomplete", "teal down, then teal up: it verifies and replaces the version"
        ),
    ),
    (
        r"validation errors? for Settings|ValidationError",
        StartFailureCause("one of its settings is not valid", "correct the TEAL_... variable that its log names, then teal up"),
    ),
    (
        r"max virtual memory areas|vm\.max_map_count|bootstrap check",
        StartFailureCause("the machine's limits are too low for Elasticsearch", "do what its log says, then teal up"),
    ),
    (
        r"NoClassDefFoundError|ClassNotFoundException|zip END header|JarException|Invalid or corrupt jarfile",
        StartFailureCause(
            "the unpacked Elasticsearch is damaged", "teal down, then teal up --search elasticsearch: it verifies and replaces it"
        ),
    ),
)


def explain(said: str) -> StartFailureCause | None:
    """The known cause that the end of a program's log names; None when it names none."""
    return next((cause for pattern, cause in _CAUSES if re.search(pattern, said, re.IGNORECASE)), None)


def of_machine(error: OSError) -> OperatorError | None:
    """The error for what the operating system refused, with the next command:
    a full disk, a read-only one, another user's file. None for any other error."""
    cause = explain(str(error))
    if cause is None:
        return None
    return OperatorError(f"{cause.what[0].upper()}{cause.what[1:]}", where=str(error.filename or error), next=cause.next)
