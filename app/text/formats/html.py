"""Web pages, read with html-to-markdown: tables are kept; menus, banners, hidden text and scripts are removed."""

from __future__ import annotations

import re
from typing import Final

from app.text.document import ParsedDocument
from app.text.encoding import decode_text
from app.text.formats.format import Format
from app.text.formats.html_tables import prepare_tables
from app.text.rejection import broken_file

_INLINE: Final = ("a", "strong", "em", "b", "i", "u", "mark", "small", "del", "ins", "sub", "sup", "font", "span", "abbr", "cite")
_NOT_THE_TEXT: Final = (
    "nav", "footer", "aside", "dialog", "form", "iframe", "noscript", "template", "svg",
    "[hidden]", "[aria-hidden=true]", "[role=navigation]", "[role=dialog]", "[role=alertdialog]", "[role=search]",
    "[role=contentinfo]", "[role=complementary]", "[class*=cookie]", "[id*=cookie]", "[class*=consent]", "[id*=consent]",
    ".footer", "#footer", ".menu", "#menu", ".navbar", ".navigation", ".navheader", ".navfooter", ".breadcrumb", ".breadcrumbs",
    ".comments", "#comments", ".advert", ".advertisement", ".skip-link", ".sr-only", ".visually-hidden",
    "a.headerlink", "a.anchor",
)  # fmt: skip
_DECLARED: Final = re.compile(
    rb"<meta[^>]{1,200}?charset=[\"']?([A-Za-z0-9_-]{2,30})|<\?xml[^>]{1,100}?encoding=[\"']([A-Za-z0-9_-]{2,30})", re.IGNORECASE
)
_IMAGE: Final = re.compile(r"!\[([^\[\]\n]{0,400})\]\([^()\s]{0,2000}(?: \"[^\"\n]{0,400}\")?\)")
# A term and its definition become one line, `term: definition`, so that the definition can be quoted with what it defines. A definition of
# several sentences stays below its term: of a line only one sentence would be quoted.
_TERM: Final = re.compile(
    r"<dt(?:\s[^<>]{0,500})?>((?:(?!<d[tdl]\b|</d[tl]>).){1,300}?)(?:</dt>\s{0,200})?<dd(?:\s[^<>]{0,500})?>(?:\s{0,200}<p(?:\s[^<>]{0,500})?>)?",
    re.IGNORECASE | re.DOTALL,
)
_MARKUP: Final = re.compile(r"<[^<>]{0,2000}>")
_DEFINITION_END: Final = re.compile(r"</?d[dtl]\b", re.IGNORECASE)
_SENTENCES: Final = re.compile(r"[.!?]\s{1,20}\w|[。！？]\s{0,20}\w")  # the end of one, and the beginning of another
_LOOKED_AT_CHARACTERS: Final = 2_000  # of a definition
_HEAD_BYTES: Final = 4096  # HTML wants the declaration within the first 1024


def read(body: bytes, filename: str | None) -> ParsedDocument:
    """The page's title, or its first heading, and its text as Markdown."""
    return read_html(_text(body, filename), filename)


def read_html(page: str, filename: str | None) -> ParsedDocument:
    """The same for a page that is text already."""
    import html_to_markdown

    options = html_to_markdown.ConversionOptions(
        autolinks=False, bullets="-", compact_tables=True, hidden_content="drop", strip_tags=list(_INLINE),
        exclude_selectors=list(_NOT_THE_TEXT),
    )  # fmt: skip
    try:
        found = html_to_markdown.convert(prepare_tables(_TERM.sub(_defined, page)), options)
    except Exception as error:  # the library's own errors, and panics of the libraries below it
        raise broken_file(filename, error) from error
    text = _without_front_matter(found.content or "")
    title = found.metadata.document.title if found.metadata else None
    heading = next((line.lstrip("# ") for line in text.split("\n") if line.startswith("#")), None)
    return ParsedDocument(title or heading, _IMAGE.sub(r"\1", text).replace("\u00ad", ""))


def _text(body: bytes, filename: str | None) -> str:
    found = _DECLARED.search(body[:_HEAD_BYTES])
    if found is not None and not body.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        name = (found[1] or found[2]).decode("ascii").lower()
        try:
            # Browsers decode pages that declare ISO-8859-1 as its superset windows-1252 (WHATWG Encoding Standard).
            return body.decode({"iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252"}.get(name, name))
        except (LookupError, UnicodeDecodeError):
            pass  # the page declares an unknown or a wrong encoding
    return decode_text(body, filename)


def _defined(found: re.Match[str]) -> str:
    if _SENTENCES.search(
        _MARKUP.sub("", _DEFINITION_END.split(found.string[found.end() : found.end() + _LOOKED_AT_CHARACTERS], 1)[0])
    ):
        return found[0]
    term = _MARKUP.sub("", found[1]).strip()
    mark = "" if not term or term[-1] in ".:;?!…。：？！" else ":"
    return f"<p>{found[1].strip()}{mark} "


def _without_front_matter(text: str) -> str:
    if not text.startswith("---\n"):
        return text
    end = text.find("\n---\n", 3)
    return text[end + 5 :] if end >= 0 else text


FORMAT: Final = Format(
    "HTML",
    "text/html",
    ("html", "htm", "xhtml"),
    read,
    declared=("application/xhtml+xml",),
    libraries=("html_to_markdown",),
    text=True,
)
