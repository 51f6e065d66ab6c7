"""What each file type gives, and what is said about files that give nothing."""

from __future__ import annotations

import io

import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from app.errors import DocumentRejected, UnsupportedMedia
from app.rag.parse import HTML, MARKDOWN, PDF, TEXT, Parsed, detect_media_type, parse, parse_apart


def pdf(text: str | None, *, title: str | None = None, password: str | None = None) -> bytes:
    """A PDF of one page, made by pypdf itself."""
    writer = PdfWriter()
    page = writer.add_blank_page(400, 200)
    if text is not None:
        font = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
            }
        )
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})})
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = stream
    if title:
        writer.add_metadata({"/Title": title})
    if password:
        writer.encrypt(password)
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def test_plain_text_is_kept() -> None:
    assert parse("One.\r\n\r\n\r\n\r\nTwo. Grüße".encode(), TEXT, "a.txt") == Parsed(None, "One.\n\nTwo. Grüße")


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
    assert parsed.text.split() == ["##", "Part", "One", "two.", "first", "second"]
    assert "## Part\n" in parsed.text


def test_html_in_a_child_process_gives_the_same() -> None:
    page = "<h1>Überschrift</h1><p>Wörter.".encode()
    assert parse_apart(page, HTML, "a.html") == parse(page, HTML, "a.html") == Parsed("Überschrift", "# Überschrift\n\nWörter.")


def test_pdf_gives_title_and_words() -> None:
    assert parse_apart(pdf("Words on a page", title="A title"), PDF, "a.pdf") == Parsed("A title", "Words on a page")


@pytest.mark.parametrize(
    ("body", "media_type", "reason"),
    [
        (b"  \n ", TEXT, "is empty"),
        (b"... --- ...", TEXT, "no text"),
        (b"<html><body><script>x</script></body></html>", HTML, "no text"),
        (pdf(None), PDF, "no text: a scan needs text recognition"),
        (pdf("secret", password="x"), PDF, "is encrypted"),  # pragma: allowlist secret
        (b"%PDF-1.7 and then nothing of the kind", PDF, "is broken"),
        (pdf("Words")[:-200], PDF, "is broken"),
    ],
)
def test_file_that_cannot_be_indexed_says_why(body: bytes, media_type: str, reason: str) -> None:
    with pytest.raises(DocumentRejected, match=reason) as rejection:
        parse_apart(body, media_type, "a.file")
    assert "'a.file'" in rejection.value.detail


def test_file_that_takes_too_long_is_rejected_and_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.rag.parse.APART_SECONDS", 2)
    nested = b"<div>" * 200_000 + b"x"
    with pytest.raises(DocumentRejected, match="more than 2 s"):
        parse_apart(nested, HTML, "deep.html")


def test_file_that_eats_memory_is_rejected_and_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.rag.parse.APART_MEMORY_BYTES", 150_000_000)
    many = b"<p>x</p>" * 200_000
    with pytest.raises(DocumentRejected, match="broken"):
        parse_apart(many, HTML, "wide.html")


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
    ("filename", "head"), [("a.png", b"\x89PNG\r\n\x1a\n\x00\x00"), ("a.txt", b"\x00\x01\x02"), ("a.pdf", b"words")]
)
def test_other_files_are_refused(filename: str, head: bytes) -> None:
    with pytest.raises(UnsupportedMedia, match=filename):
        detect_media_type(filename, None, head)
