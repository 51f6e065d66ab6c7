"""A few documents that answer the golden questions of `teal/release/golden.jsonl` and what the users of a drill ask."""

from __future__ import annotations

CORPUS = {
    "Caching views": "To cache the output of a single view, use the cache_page decorator. It takes the seconds to cache the view.",
    "Queries": "To retrieve only some objects, refine the query set with filters: filter returns objects that match the parameters.",
    "Email": "To send an email with an attachment, make an EmailMessage and attach the file with attach_file before send.",
    "Passwords": "Django stores passwords with the PBKDF2 algorithm and a SHA256 hash, a password stretching mechanism.",  # pragma: allowlist secret
    "Commands": "To write a custom management command, make a class Command that extends BaseCommand in management/commands.",
}
