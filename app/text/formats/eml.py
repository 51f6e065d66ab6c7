"""E-mail by the standard library: subject, people, date, and the body in its decoded form."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Final

from app.text.document import ParsedDocument
from app.text.formats.format import Format
from app.text.formats.html import FORMAT as HTML
from app.text.rejection import broken_file

_SHOWN: Final = ("From", "To", "Cc", "Date")


def read(body: bytes, filename: str | None) -> ParsedDocument:
    """The subject is the title. Attachments are named in a warning, not read."""
    try:
        message = BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(body)
        subject = str(message["Subject"] or "").strip()
        head = [f"{name}: {message[name]}" for name in _SHOWN if message[name]]
        text = _text(message, filename)
        attached = [part.get_filename() or part.get_content_type() for part in message.iter_attachments()]
    # Malformed headers raise many kinds of errors.
    except (ValueError, LookupError, RecursionError, AttributeError, TypeError, KeyError) as error:
        raise broken_file(filename, error) from error
    warnings = (f"Its attachments were not read: {', '.join(attached)[:300]}. Send them by themselves.",) if attached else ()
    lines = [f"Subject: {subject}", *head] if subject else head
    return ParsedDocument(subject or None, "\n".join(lines) + f"\n\n{text}", warnings=warnings)


def _text(message: EmailMessage, filename: str | None) -> str:
    part = message.get_body(preferencelist=("plain", "html"))
    if part is None:
        return ""
    if part.get_content_type() == "text/html":
        return HTML.read(part.get_payload(decode=True) or b"", filename).text  # type: ignore[arg-type]
    content: str = part.get_content()
    return content


FORMAT: Final = Format("E-mail", "message/rfc822", ("eml",), read, libraries=("html_to_markdown",), text=True)
