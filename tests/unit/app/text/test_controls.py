"""Orders to a terminal and to the reading direction are taken out of what people send."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.http.schemas import DocumentIn
from app.text.controls import one_line, without_controls
from app.text.parse import parse
from app.text.rejection import broken_file

HOSTILE = "a\x1b]52;c;eA==\x07b\x9b2J\u202ec\u2066d\x7f"


def test_a_line_keeps_its_words_and_nothing_else() -> None:
    assert one_line(HOSTILE) == "a]52;c;eA==b2Jcd"
    assert one_line("one\ttwo\r\nthree") == "one two  three"
    for text in ("Überschrift", "مرحبا\u200fبك", "日本語\u00a0…"):
        assert one_line(text) == without_controls(text) == text


def test_a_documents_fields_keep_no_order() -> None:
    body = DocumentIn.model_validate(
        {"title": HOSTILE, "text": "t", "source": f"https://x/{HOSTILE}", "metadata": {"author": HOSTILE}}
    )
    assert (body.title, body.source, body.metadata) == (
        "a]52;c;eA==b2Jcd",
        "https://x/a]52;c;eA==b2Jcd",
        {"author": "a]52;c;eA==b2Jcd"},
    )
    for title in ("\x1b", "\x00"):
        with pytest.raises(ValidationError):
            DocumentIn.model_validate({"title": title, "text": "t"})


def test_a_files_text_and_title_keep_no_order() -> None:
    found = parse(f"# {HOSTILE}\n\nWords {HOSTILE} and more.".encode(), "text/markdown", "a.md")
    for order in ("\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\x7f"):
        assert order not in found.text
        assert order not in (found.title or "")


def test_what_is_said_of_a_file_quotes_no_order() -> None:
    name = b"\x1b]52;c;eA==\x07\x00\xe2\x80\xae\xff.zip"
    mail = b'Content-Type: multipart/mixed; boundary=b\n\n--b\n\nwords\n--b\nContent-Disposition: attachment; filename="%b"\n\nx\n--b--\n'
    (warning,) = parse(b"MIME-Version: 1.0\n" + mail % name, "message/rfc822", "a.eml").warnings
    for said in (warning, broken_file("a.eml", f"at {HOSTILE}\x00\udcff").detail):
        assert said.isprintable(), said
        assert said.encode()
