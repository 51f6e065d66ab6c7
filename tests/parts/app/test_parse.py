"""What each file type gives, and what is said about files that give nothing."""

from __future__ import annotations

import io
import json
import time
from types import SimpleNamespace

import psutil
import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from app.errors import DocumentRejected
from app.text import child
from app.text.apart import READERS, NoLongerWanted, ReaderProcesses
from app.text.document import ChunkLimits, ParsedDocument
from app.text.parse import parse
from tests.unit.app.text.test_parse import HTML, PDF, TEXT


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
        page[NameObject("/Contents")] = writer._add_object(stream)  # a stream must be an object of its own
    if title:
        writer.add_metadata({"/Title": title})
    if password:
        writer.encrypt(password)
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def test_html_in_a_child_process_gives_the_same() -> None:
    page = "<h1>Überschrift</h1><p>Wörter.".encode()
    assert (
        READERS.parse(page, HTML, "a.html")
        == parse(page, HTML, "a.html")
        == ParsedDocument("Überschrift", "# Überschrift\n\nWörter.")
    )


def test_pdf_gives_title_and_words() -> None:
    assert READERS.parse(pdf("Words on a page", title="A title"), PDF, "a.pdf") == ParsedDocument(
        "A title", "Words on a page", (0,)
    )


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
        READERS.parse(body, media_type, "a.file")
    assert "'a.file'" in rejection.value.detail


def test_file_that_takes_too_long_is_rejected_and_harms_nobody() -> None:
    readers = ReaderProcesses(seconds=1)
    with pytest.raises(DocumentRejected, match="more than 1 s"):
        readers.parse(b'{"a": [1, {"b": 2}]}\n' * 450_000, "application/json", "long.jsonl")
    assert readers.parse(b"words", TEXT, "a.txt").text == "words"
    readers.close()


def test_a_reader_that_is_out_of_its_seconds_of_cpu_says_so_when_the_alarm_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both limits are told in the same seconds, and either may come first: neither may be taken for a crash."""
    monkeypatch.setattr(child, "signal", SimpleNamespace(alarm=lambda seconds: None))
    request = {"media_type": "application/json", "filename": "long.jsonl", "seconds": 1, "memory_bytes": -1, "cutting": None}
    assert json.loads(child.read_in_fork(request, b'{"a": [1, {"b": 2}]}\n' * 450_000)) == {"ended": "time"}


def test_file_that_eats_memory_is_rejected_and_harms_nobody() -> None:
    readers = ReaderProcesses(memory_bytes=150_000_000)
    with pytest.raises(DocumentRejected, match="broken"):
        readers.parse(b"<p>x</p>" * 1_000_000, HTML, "wide.html")
    assert readers.parse(b"words", TEXT, "a.txt").text == "words"
    readers.close()


def test_a_file_that_is_no_longer_wanted_is_not_read_to_its_end() -> None:
    readers, asked = ReaderProcesses(), list[float]()

    def wanted() -> bool:
        asked.append(time.monotonic())
        return len(asked) < 2

    with pytest.raises(NoLongerWanted):
        readers.read(b'{"a": [1, {"b": 2}]}\n' * 450_000, "application/json", "long.jsonl", ChunkLimits(180, 30), wanted)
    assert len(asked) == 2
    readers.close()


def test_the_reading_process_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAL_TEST_SECRET", "x")
    readers = ReaderProcesses()
    readers.parse(b"words", TEXT, "name-of-a-client.txt")
    (child,) = readers._idle
    process = psutil.Process(child.pid)
    assert "TEAL_TEST_SECRET" not in process.environ()
    assert not any("name-of-a-client" in word for word in process.cmdline())
    readers.close()
