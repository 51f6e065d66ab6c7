"""How large the body of a request may be, by its path: one table for the load balancer, the firewall and the service.

A path that is not listed here gets the smallest limit, so a new route is safe by default. A
route that needs more is added to this file.
"""

from __future__ import annotations

from typing import Final

SMALL_BYTES: Final = 4_096  # the limit of every path that is not listed below; a key sent as JSON has 100 bytes
QUESTION_BYTES: Final = 262_144  # the longest question has 12 KB as JSON; a filter may name 100 sources of 2,000 characters
QUESTION_PATHS: Final = ("/v1/search", "/v1/ask", "/v1/chat/completions")
DOCUMENTS_PATH: Final = "/v1/documents"  # and every path below it
DOCUMENT_BYTES: Final = 10_000_000  # the largest document, unless TEAL_MAX_DOCUMENT_BYTES sets another limit
MULTIPART_ROOM_BYTES: Final = 64_000  # boundaries, part headers and form fields around a file of the largest size


def document_body_bytes(max_document_bytes: int) -> int:
    """The body limit in bytes for a document of `max_document_bytes`: twice that, because JSON may escape each byte of a text."""
    return 2 * max_document_bytes + MULTIPART_ROOM_BYTES


def limit_bytes(path: str, max_document_bytes: int) -> int:
    """The largest body in bytes that a request to `path` may have. `path` is decoded and has no query string."""
    if path in QUESTION_PATHS:
        return QUESTION_BYTES
    if path == DOCUMENTS_PATH or path.startswith(f"{DOCUMENTS_PATH}/"):
        return document_body_bytes(max_document_bytes)
    return SMALL_BYTES
