"""Who did what: one JSON line for each change of a key, a document or the data, each sign-in, and each refusal.

On a laptop `<log_dir>/audit.jsonl`, which is only ever appended to and which its owner alone reads; elsewhere the process's log,
under the logger `app.access.audit`. No key, no token, no question, no title and no text is written. A line that cannot be written is an
error on standard error and stops nothing.
"""

from __future__ import annotations

import logging
import os
import pwd
import re
import sys
import time
from collections.abc import Mapping
from typing import IO, Any, Final

from starlette.requests import Request

from app.catalog.keys import Principal, presented_id
from app.errors import TealError
from app.observability.logging import context, json_lines
from app.settings import Settings

FILE: Final = "audit.jsonl"
REFUSED: Final = "refused"
REFUSALS_PER_SECOND: Final = 5  # a flood of wrong keys writes 200 MB a day in each process at most; the others are counted
_PLAIN_WORDS: Final = re.compile(r"(/[a-z][a-z0-9-]{0,15}){1,4}")

_log = logging.getLogger("app.access.audit")


def configure_audit(settings: Settings, part: str, *, stream: IO[str] | None = None) -> None:
    """Where the lines go from now on: the file, or `stream` (standard output when not given)."""
    handler: logging.Handler
    if settings.log_dir is None:
        handler = logging.StreamHandler(stream or sys.stdout)
    else:
        settings.log_dir.mkdir(parents=True, exist_ok=True)
        handler = _AppendOnly(settings.log_dir / FILE, encoding="utf-8")
    handler.setFormatter(json_lines())
    handler.addFilter(context(settings, part))
    handler.addFilter(_FewRefusals())
    _log.handlers, _log.propagate = [handler], False
    _log.setLevel(logging.INFO)  # whatever the rest of the log leaves out


def write_audit_line(event: str, who: Principal | None = None, **what: object) -> None:
    """One line: what happened, which key did it, and ids of what it was done to."""
    actor = {"key_id": who.key_id, "key_name": who.name, "role": who.role} if who else {}
    _log.info(event, extra=actor | _without_empty(what))


def record_command(command: str, options: Mapping[str, Any], *, ids: list[str], error: str | None) -> None:
    """An operator's command: who ran it on this machine, with which options, and how it ended. No option takes a secret."""
    _log.info(
        "command",
        extra=_without_empty({"command": command, "operator": _operator(), "options": options, "ids": ids, "error": error}),
    )


def record_refusal(request: Request, error: TealError) -> None:
    """A request that was turned away: for what reason, where, from which address, and by which key as far as one can tell."""
    who: Principal | None = getattr(request.state, "principal", None)
    presented = request.headers.get("authorization", "").partition(" ")[2].strip()
    write_audit_line(
        REFUSED,
        who,
        code=error.code,
        method=request.method,
        route=_route(request),
        client=client_address(request),
        claimed_key_id=None if who else presented_id(presented),  # an id is no secret, and tells who still uses an ended key
    )


def client_address(request: Request) -> str:
    """The client's address as the load balancer saw it; it drops what clients claim themselves."""
    forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return forwarded[:64] or (request.client.host if request.client else "local")


def _route(request: Request) -> str:
    """The route's pattern, because people put keys into addresses. Refused before it had a route: an address of short plain words,
    which no key, token or id of ours is."""
    path: str = request.scope["path"]
    return getattr(request.scope.get("route"), "path", path if _PLAIN_WORDS.fullmatch(path) else "unmatched")


def _without_empty(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def _operator() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user need not have a name
        return f"uid {os.getuid()}"


class _AppendOnly(logging.FileHandler):
    """Several processes append to one file: a line is one write, and the kernel puts each at the end."""

    def _open(self) -> Any:
        return open(self.baseFilename, "a", encoding=self.encoding, opener=lambda path, flags: os.open(path, flags, 0o600))


class _FewRefusals(logging.Filter):
    """Lets a few refusals a second pass and counts the others; everything else always passes."""

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._passed = 0
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg != REFUSED:
            return True
        if int(time.time()) != self._second:
            self._second, self._passed = int(time.time()), 0
        if self._passed >= REFUSALS_PER_SECOND:
            self._left_out += 1
            return False
        self._passed += 1
        if self._left_out:
            record.left_out, self._left_out = self._left_out, 0
        return True
