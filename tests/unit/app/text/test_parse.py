"""What each file type gives, and what is said about files that give nothing."""

from __future__ import annotations

import pytest

from app.errors import UnsupportedMedia
from app.text.document import ParsedDocument
from app.text.formats.html import FORMAT as HTML_FORMAT
from app.text.formats.markdown import FORMAT as MARKDOWN_FORMAT
from app.text.formats.pdf import FORMAT as PDF_FORMAT
from app.text.formats.plain import FORMAT as TEXT_FORMAT
from app.text.media_type import detect_media_type
from app.text.parse import parse

HTML, MARKDOWN, PDF, TEXT = (one.media_type for one in (HTML_FORMAT, MARKDOWN_FORMAT, PDF_FORMAT, TEXT_FORMAT))


def test_plain_text_is_kept() -> None:
    assert parse("One.\r\n\r\n\r\n\r\nTwo. Grüße".encode(), TEXT, "a.txt") == ParsedDocument(None, "One.\n\nTwo. Grüße")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252"])
def test_other_encodings_are_recognised(encoding: str) -> None:
    words = "Die Größe der Bäume überraschte die Gärtner, und das schöne Grün der Wälder gefällt allen Schülern sehr."
    assert parse(words.encode(encoding), TEXT, "a.txt").text == words


@pytest.mark.parametrize("text", ["intro\n\n# The *title* #\n\nwords", "The *title*\n===\n\nwords"])
def test_markdown_title_is_the_first_heading(text: str) -> None:
    assert parse(text.encode(), MARKDOWN, "a.md").title == "The *title*"


def test_html_gives_its_words_without_scripts_styles_and_menus() -> None:
    page = b"""<html><head><title> The  page </title><style>.x{}</style><script>evil()</script></head><body><nav>Menu</nav>
    <h2>Part</h2><p>One <b>two</b>.</p><ul><li>first<li>second</ul><script>more()</script></body></html>"""
    parsed = parse(page, HTML, "a.html")
    assert parsed.title == "The page"
    assert parsed.text.split() == ["##", "Part", "One", "two.", "-", "first", "-", "second"]
    assert "## Part\n" in parsed.text


@pytest.mark.parametrize(
    ("filename", "declared", "head", "expected"),
    [
        ("a.txt", None, b"words", TEXT),
        ("a.md", "application/octet-stream", b"# words", MARKDOWN),
        (None, "text/html; charset=utf-8", b"<p>words", HTML),
        ("a.txt", "text/plain", b"%PDF-1.4", PDF),
        ("a.bin", None, b"<!DOCTYPE html><p>", HTML),
        ("noname", None, b"words", TEXT),
        ("utf16.txt", None, "words".encode("utf-16"), TEXT),
    ],
)
def test_type_is_told_from_content_name_and_declaration(
    filename: str | None, declared: str | None, head: bytes, expected: str
) -> None:
    assert detect_media_type(filename, declared, head) == expected


@pytest.mark.parametrize(
    ("filename", "head"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n\x00\x00"),
        ("a.txt", b"\x00\x01\x02"),
        ("a.pdf", b"words"),
        ("a.docx", b"words"),
        ("a.zip", b"PK\x03\x04 and an archive of no known kind"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    ],
)
def test_other_files_are_refused(filename: str, head: bytes) -> None:
    with pytest.raises(UnsupportedMedia, match=filename):
        detect_media_type(filename, None, head)


@pytest.mark.parametrize(
    ("front", "said"),
    [
        ("---\ntitle: \"The queue\"\ndate: 2025-03-03\ntags: [a, 'b c']\nauthor: Yusra Haddad\n---\n", {"date": "2025-03-03", "tags": "a, b c", "author": "Yusra Haddad"}),
        ("---\ntitle: The queue\nTags:\n  - a\n  - b\nowner:\n  name: hidden\n---\n", {"tags": "a, b"}),
        ('+++\ntitle = "The queue"\ndate = 2024-10-02\ndraft = false\n[extra]\nowner = "North"\n+++\n', {"date": "2024-10-02", "draft": "false"}),
    ],
)  # fmt: skip
def test_front_matter_is_metadata_and_no_text(front: str, said: dict[str, str]) -> None:
    parsed = parse(f"{front}\nWords.".encode(), "text/markdown", "a.md")
    assert (parsed.title, parsed.text, parsed.metadata) == ("The queue", "Words.", said)
