"""Every error the service tells a client about, as data: code, status, title and what to do next.

The wire form is RFC 9457 (`application/problem+json`); `app/http/problems.py` renders it, and an HTML page for browsers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Problem:
    """One stable error code. `action` tells the reader the next thing to do."""

    code: str
    status: int
    title: str
    action: str


_PROBLEMS: Final = (
    Problem("broken-body", 400, "The body of the request did not arrive whole", "Send it again."),
    Problem(
        "invalid-request",
        422,
        "The request does not have the expected form",
        "Correct the fields named in `errors` and send it again.",
    ),
    Problem(
        "unauthenticated",
        401,
        "A key is needed",
        "Send `Authorization: Bearer KEY`; make one with `teal keys create --role reader`.",
    ),
    Problem(
        "forbidden", 403, "This key may not do that", "Use a key with the role named in `detail`; `teal keys list` shows roles."
    ),
    Problem("not-found", 404, "There is nothing here", "Check the id or the address; the list of documents shows what there is."),
    Problem(
        "method-not-allowed", 405, "This address does not take that method", "/openapi.json lists the methods of each address."
    ),
    Problem(
        "conflict",
        409,
        "The request contradicts an earlier one",
        "Use a new `Idempotency-Key`, or send the first request's body again.",
    ),
    Problem("too-large", 413, "The content is larger than the limit", "Split the document, or raise TEAL_MAX_DOCUMENT_BYTES."),
    Problem(
        "unsupported-media",
        415,
        "This file type cannot be read",
        "`GET /v1/formats` lists what can be read; save the file as one of those.",
    ),
    Problem("rate-limited", 429, "Too many requests with this key", "Wait for the seconds in `Retry-After`, then send again."),
    Problem(
        "quota-exceeded",
        429,
        "This key has used up its quota of the day",
        "Wait for the seconds in `Retry-After`. Operators: `teal keys quota ID` gives the key another one.",
    ),
    Problem(
        "internal",
        500,
        "Something failed on our side",
        "Send it again; if it stays, report the request id: `teal logs app` finds it.",
    ),
    Problem(
        "search-unavailable",
        503,
        "The search engine does not answer",
        "Nothing is lost: try again shortly. Operators: `teal status`, then `teal logs elasticsearch`.",
    ),
    Problem(
        "catalog-unavailable",
        503,
        "The document catalog does not answer",
        "Nothing was changed: try again shortly. Operators: `teal status`, then the database's log.",
    ),
    Problem(
        "storage-full",
        507,
        "There is no room to store this",
        "Nothing was changed. Operators: free disk space, then `teal status`.",
    ),
    Problem(
        "passage-refused",
        422,
        "A passage of this document cannot be taken into the index",
        "Look at `detail`, correct the document and send it again.",
    ),
    Problem("model-unavailable", 503, "The language model does not answer", "Try again shortly; search still works."),
    Problem(
        "index-mismatch",
        503,
        "The index was built by another embedding model",
        "Operators: set TEAL_EMBEDDING_MODEL back, or build a new index with `python -m app.admin rebuild`.",
    ),
    Problem(
        "migration-refused",
        409,
        "The schema must not be changed this way now",
        "Operators: release the expanding revisions first; contract when no release needs the old schema.",
    ),
    Problem(
        "index-incomplete",
        409,
        "The search index does not hold what the catalog says",
        "Operators: fill it with `python -m app.admin index build --name NAME`, then verify it again.",
    ),
    Problem(
        "backup-failed",
        503,
        "The snapshot or restore could not be done",
        "Operators: the detail says why; nothing that runs was changed. Mend that, then run the command again.",
    ),
    Problem(
        "snapshot-refused",
        409,
        "The snapshot is not whole or not what it should be",
        "Operators: choose another one with `teal snapshots`, or fill search from the catalog alone: `teal rebuild`.",
    ),
    Problem("starting", 503, "The service is starting or stopping", "Try again in a few seconds."),
)
PROBLEMS: Final[dict[str, Problem]] = {problem.code: problem for problem in _PROBLEMS}


class TealError(Exception):
    """An error with a stable code from `PROBLEMS`. `detail` tells the client what failed and where. `action`
    says what to do next: the problem's own action is written for requests, and another one may be given
    where it does not fit the command line."""

    code = "internal"

    def __init__(self, detail: str, *, retry_after_seconds: int | None = None, action: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.action = action or self.problem.action
        self.retry_after_seconds = retry_after_seconds

    @property
    def problem(self) -> Problem:
        return PROBLEMS[self.code]

    def described(self) -> dict[str, str]:
        """The error in the form that the command line prints."""
        return {"code": self.code, "detail": self.detail, "action": self.action}


class RequestError(TealError):
    """The caller made a mistake and can correct it."""


class InvalidRequest(RequestError):
    code = "invalid-request"


class Unauthenticated(RequestError):
    code = "unauthenticated"


class Forbidden(RequestError):
    code = "forbidden"


class NotFound(RequestError):
    code = "not-found"


class Conflict(RequestError):
    code = "conflict"


class TooLarge(RequestError):
    code = "too-large"


class UnsupportedMedia(RequestError):
    code = "unsupported-media"


class RateLimited(RequestError):
    code = "rate-limited"


class QuotaExceeded(RequestError):
    """A key's requests or questions of the day are used up."""

    code = "quota-exceeded"


class MigrationRefused(RequestError):
    """A schema revision would remove something that a serving release still needs."""

    code = "migration-refused"


class IndexIncomplete(TealError):
    """An index was compared with the catalog and is incomplete."""

    code = "index-incomplete"


class BackupFailed(TealError):
    """A snapshot could not be taken or restored; the running service is unchanged."""

    code = "backup-failed"


class SnapshotRefused(TealError):
    """A snapshot was checked and is incomplete, altered, empty or of something else."""

    code = "snapshot-refused"


class Unavailable(TealError):
    """A part behind the service does not answer now; the same request may pass later."""


class SearchUnavailable(Unavailable):
    code = "search-unavailable"


class CatalogUnavailable(Unavailable):
    code = "catalog-unavailable"


class StorageFull(Unavailable):
    code = "storage-full"


class ModelUnavailable(Unavailable):
    code = "model-unavailable"


class IndexMismatch(Unavailable):
    code = "index-mismatch"


class DocumentRejected(TealError):
    """A document that can never be indexed as it is (broken file, no text): fails at once, without retries."""

    code = "unsupported-media"


class PassageRefused(DocumentRejected):
    """The search engine or the embedding model refuses a passage permanently, so a retry is useless; `detail` says which and why."""

    code = "passage-refused"
