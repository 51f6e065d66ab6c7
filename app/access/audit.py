"""The audit log: one JSON line for each change of a key, a document or the data, each sign-in, and each refusal.

On a laptop the lines go to `<log_dir>/audit.jsonl`, which is append-only and readable by its owner alone; elsewhere to the
process's log, under the logger `app.access.audit`. No key, token, question, title or text is written. A line that cannot be
written is reported on standard error and does not stop the request.
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
REFUSALS_PER_SECOND: Final = 5  # so a flood of wrong keys writes at most 200 MB a day per process; others are only counted
_PLAIN_WORDS: Final = re.compile(r"(/[a-z][a-z0-9-]{0,15}){1,4}")

_log = logging.getLogger("app.access.audit")


def configure_audit(settings: Settings, part: str, *, stream: IO[str] | None = None) -> None:
    """Send the lines to the file in `log_dir` from now on; without a `log_dir` to `stream` (default: standard output)."""
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
    _log.setLevel(logging.INFO)  # whatever level the rest of the log has


def write_audit_line(event: str, who: Principal | None = None, **what: object) -> None:
    """Write one line: the event, the key that caused it, and the ids of the objects concerned."""
    actor = {"key_id": who.key_id, "key_name": who.name, "role": who.role} if who else {}
    _log.info(event, extra=actor | _without_empty(what))


def record_command(command: str, options: Mapping[str, Any], *, ids: list[str], error: str | None) -> None:
    """Record an operator's command: who ran it on this machine, its options, and its result. No option is secret."""
    _log.info(
        "command",
        extra=_without_empty({"command": command, "operator": _operator(), "options": options, "ids": ids, "error": error}),
    )


def record_refusal(request: Request, error: TealError) -> None:
    """Record a refused request: the reason, the route, the client's address, and the key as far as it is known."""
    who: Principal | None = getattr(request.state, "principal", None)
    presented = request.headers.get("authorization", "").partition(" ")[2].strip()
    write_audit_line(
        REFUSED,
        who,
        code=error.code,
        method=request.method,
        route=_route(request),
        client=client_address(request),
        claimed_key_id=None if who else presented_id(presented),  # an id is not secret, and shows who still uses an ended key
    )


def client_address(request: Request) -> str:
    """The client's address as the load balancer saw it; the load balancer drops forwarding headers that clients send."""
    forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return forwarded[:64] or (request.client.host if request.client else "local")


def _route(request: Request) -> str:
    """The route's pattern, not the path, because people put keys into URLs. A request that was refused before it had a route is
    recorded by its path only if that consists of short plain words, which no key, token or id of the service does."""
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
    """A handler for a file that several processes append to: each line is one write, which
    the kernel puts at the end of the file."""

    def _open(self) -> Any:
        return open(self.baseFilename, "a", encoding=self.encoding, opener=lambda path, flags: os.open(path, flags, 0o600))


class _FewRefusals(logging.Filter):
    """A filter that passes a few refusals per second and counts the others; other events always pass."""

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
