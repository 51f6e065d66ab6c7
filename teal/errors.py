"""The errors that an operator can see. Each says what failed, where, and the next command to run.

`teal/cli.py` prints these and exits with `exit_code`; nothing else decides exit codes.
"""

from __future__ import annotations

from typing import Final

DONE: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2
HELD: Final = 3
NEEDS_HUMAN: Final = 4


class OperatorError(Exception):
    """One failure in plain words. `what` failed, `where` (part, file or address), `next` is the command to run next."""

    code = "failed"
    exit_code = FAILED

    def __init__(self, what: str, *, where: str, next: str) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.next = next

    def __str__(self) -> str:
        return f"{self.what}\n  where: {self.where}\n  next:  {self.next}"

    def fields(self) -> dict[str, object]:
        """The error as JSON-ready data."""
        return {"code": self.code, "what": self.what, "where": self.where, "next": self.next}


class BadInput(OperatorError):
    """The command or its environment must be changed before it can work."""

    code = "bad-input"
    exit_code = BAD_INPUT


class HeldByAnother(OperatorError):
    """Another process, or a freeze of releases, holds what this command needs."""

    code = "held"
    exit_code = HELD


class NeedsHuman(OperatorError):
    """Going on needs a person's decision."""

    code = "needs-human"
    exit_code = NEEDS_HUMAN


class StackDown(OperatorError):
    """The laptop stack does not run."""

    code = "stack-down"

    def __init__(self, where: str) -> None:
        super().__init__("The stack is not running", where=where, next="teal up")


class PartFailed(OperatorError):
    """One part of the stack did not start or stopped answering."""

    code = "part-failed"

    def __init__(self, part: str, reason: str, *, log: str, next: str | None = None) -> None:
        super().__init__(f"{part} failed: {reason}", where=log, next=next or f"teal logs {part}")
        self.part = part
        self.reason = reason


class FetchFailed(OperatorError):
    """A pinned artifact could not be downloaded, or its digest is not the pinned one."""

    code = "fetch-failed"

    def __init__(self, artifact: str, reason: str, *, next: str = "teal up") -> None:
        super().__init__(f"{artifact} could not be fetched: {reason}", where=artifact, next=next)
        self.artifact = artifact
        self.reason = reason


class Unreachable(OperatorError):
    """No HTTP answer came back."""

    code = "unreachable"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"No answer: {reason}", where=url, next="teal status")
        self.url = url


class ServiceRefused(OperatorError):
    """The service answered with a problem (RFC 9457)."""

    def __init__(self, where: str, *, status: int, code: str, title: str, detail: str, action: str, request_id: str | None = None,
                 retry_after_seconds: float | None = None) -> None:  # fmt: skip
        text = f"{title}: {detail}" if detail and detail != title else title
        super().__init__(
            f"{text} ({status} {code})",
            where=where + (f", request {request_id}" if request_id else ""),
            next=action or "teal status",
        )
        self.code = code
        self.status = status
        self.detail = detail
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds
        self.exit_code = BAD_INPUT if status in (400, 401, 403, 404, 409, 413, 415, 422) else FAILED


class AdminFailed(OperatorError):
    """`python -m app.admin` ended with an error."""

    def __init__(self, command: str, *, code: str, detail: str, action: str, bad_input: bool) -> None:
        super().__init__(detail, where=f"python -m app.admin {command}", next=action)
        self.code = code
        self.exit_code = BAD_INPUT if bad_input else FAILED
