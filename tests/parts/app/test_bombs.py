"""Files that are made to become large, deep or slow: each ends within the limits of the process that reads it, is refused in words or is small
when it was read, and holds up nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Final

import psutil
import pytest

from app.errors import DocumentRejected
from app.text.apart import ReaderProcesses
from app.text.document import ChunkLimits
from app.text.formats import FORMATS
from app.text.parse import MOST_CHARACTERS
from tests.parts.app.bombs import BOMBS, SOUND

MEDIA_TYPES: Final = {suffix: one.media_type for one in FORMATS for suffix in one.suffixes}
# Tighter than in production (60 s, 1 GB), so that what would break those breaks these, sooner.
SECONDS: Final = 1
MEMORY_BYTES: Final = 400_000_000
LATE_SECONDS: Final = 8.0  # beyond its seconds of CPU: making the child, and sending it 10 MB, on a busy machine
LARGEST_BYTES: Final = 10_000_000  # of a document, by default
CUTTING: Final = ChunkLimits(180, 30)
# The reasons that a client is told, each of which says what to do or what is wrong.
REASONS: Final = ("is broken: ", "has no text: ", "characters of text, more than", "is encrypted", "is empty")
# Of the fast ones one for each way to hurt stays in the ordinary tests.
ORDINARY: Final = frozenset({
    "docx entities", "docx a file of the machine", "odt a file of the machine", "odt depth",
    "epub a file of the machine", "xlsx a far cell", "pptx a file of the machine", "rtf a length that is none", "json depth", "ipynb depth",
    "eml a charset that unpacks", "pdf pages in a circle", "pdf a count that is none", "csv a field without an end", "pdf forms of forms",
})  # fmt: skip


@pytest.fixture(scope="module")
def readers() -> Iterator[ReaderProcesses]:
    made = ReaderProcesses(seconds=SECONDS, memory_bytes=MEMORY_BYTES)
    yield made
    made.close()


def test_every_format_has_a_bomb_and_each_makers_sound_file_is_read(readers: ReaderProcesses) -> None:
    formats = {one.suffixes[0] for one in FORMATS}
    assert {name.partition(" ")[0] for name in BOMBS} == formats == set(SOUND)
    for suffix, make in SOUND.items():
        read = readers.read(make(), MEDIA_TYPES[suffix], f"a.{suffix}", CUTTING)
        assert "words" in read.chunks[0].text, suffix


@pytest.mark.parametrize("name", [name if name in ORDINARY else pytest.param(name, marks=pytest.mark.long) for name in BOMBS])
def test_a_bomb_ends_within_its_limits_and_harms_nobody(readers: ReaderProcesses, name: str) -> None:
    body = BOMBS[name]()
    assert len(body) <= LARGEST_BYTES
    before, stop, peak = psutil.Process().memory_info().rss, threading.Event(), [0]

    def watch() -> None:
        while not stop.wait(0.05):
            peak[0] = max(peak[0], psutil.Process().memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    began = time.monotonic()
    text, refused = "", ""
    try:
        text = "".join(chunk.text for chunk in readers.read(body, MEDIA_TYPES[name.partition(" ")[0]], "a.file", CUTTING).chunks)
    except DocumentRejected as refusal:
        refused = refusal.detail
    finally:
        stop.set()
        watching.join()
    assert time.monotonic() - began < SECONDS + LATE_SECONDS
    assert text or any(reason in refused for reason in REASONS), refused
    assert len(refused) < 500
    assert len(text) < max(MOST_CHARACTERS, 2 * len(body))
    assert "root:" not in text  # of /etc/passwd
    assert peak[0] - before < MEMORY_BYTES / 2, "the process that asked holds what the other one read"
    assert readers.read(b"words", "text/plain", None, CUTTING).chunks[0].text == "words"


def test_other_documents_are_read_while_one_explodes(readers: ReaderProcesses) -> None:
    body, refused = BOMBS["csv width"](), list[str]()

    def explode() -> None:
        with pytest.raises(DocumentRejected) as caught:
            readers.read(body, "text/csv", "a.csv", CUTTING)
        refused.append(caught.value.detail)

    bomb = threading.Thread(target=explode)
    bomb.start()
    read = 0
    while bomb.is_alive():
        assert readers.read(b"words", "text/plain", None, CUTTING).chunks[0].text == "words"
        read += 1
    bomb.join()
    assert read >= 3
    assert len(refused) == 1


def test_a_text_is_never_longer_than_ten_thousand_pages() -> None:
    """Each passage costs an embedding and a place in the index: 60 KB of zip must not become an hour of work for everybody."""
    patient = ReaderProcesses(seconds=30)
    with pytest.raises(DocumentRejected, match="characters of text, more than the 20000000"):
        patient.read(BOMBS["odt a small file, a long text"](), MEDIA_TYPES["odt"], "a.odt", CUTTING)
    patient.close()
