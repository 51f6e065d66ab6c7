from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from teal import ingest
from teal.client.service import words
from teal.errors import BadInput, NeedsHuman, ServiceRefused, Unreachable


class Service:
    """Answers of the service, scripted per file name and document id."""

    def __init__(self, uploads: dict[str, Any], documents: dict[str, list[dict[str, Any]]]) -> None:
        self.uploads = uploads
        self.documents = documents

    def upload(self, path: Path, collection: str | None) -> dict[str, Any]:
        found = self.uploads[path.name]
        if isinstance(found, Exception):
            raise found
        return dict(found)

    def get(self, path: str) -> dict[str, Any]:
        if path == "/v1/formats":
            return {"items": [{"name": "Text", "suffixes": ["txt", "md"]}, {"name": "PDF", "suffixes": ["pdf"]}]}
        assert path == "/healthz"
        return {"status": "ok"}

    def document(self, document_id: str) -> dict[str, Any]:
        states = self.documents[document_id]
        return states.pop(0) if len(states) > 1 else states[0]


SUFFIXES = (".txt", ".md", ".pdf", ".docx")


def test_what_can_be_read_is_asked_of_the_service_itself() -> None:
    assert ingest.readable_suffixes(Service({}, {})) == (".txt", ".md", ".pdf")  # type: ignore[arg-type]


def _refused(status: int) -> ServiceRefused:
    return ServiceRefused("x", status=status, code="c", title="T", detail="D", action="A")


def test_folders_give_readable_files_once_and_in_order(tmp_path: Path) -> None:
    for name in ("b.md", "a.txt", "c.exe", ".hidden.txt", "sub/d.PDF", ".git/e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [path.name for path in ingest.files_to_send([tmp_path, tmp_path / "a.txt"], SUFFIXES)] == ["a.txt", "b.md", "d.PDF"]


def test_a_folder_says_what_it_skipped(tmp_path: Path) -> None:
    for name in ("a.txt", "b.docx", "c.exe", ".hidden.txt"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in ingest.skipped_files([tmp_path], SUFFIXES)] == [".hidden.txt", "c.exe"]


@pytest.mark.parametrize("name", ["missing", "c.exe", "empty"])
def test_what_cannot_be_sent_is_refused_before_anything_is_sent(tmp_path: Path, name: str) -> None:
    (tmp_path / "c.exe").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput) as caught:
        ingest.files_to_send([tmp_path / name], SUFFIXES)
    assert str(tmp_path / name) in caught.value.where


def test_one_bad_file_does_not_stop_the_others_and_its_reason_is_kept() -> None:
    service = Service(
        {"a.txt": {"id": "1", "status": "queued"}, "b.pdf": _refused(415), "c.txt": {"id": "3", "status": "queued"}},
        {
            "1": [{"status": "processing"}, {"status": "indexed"}],
            "3": [{"status": "failed", "error": {"detail": "no text", "action": "retry"}}],
        },
    )
    sent = list(ingest.send_files(service, [Path("a.txt"), Path("b.pdf"), Path("c.txt")], None))  # type: ignore[arg-type]
    results = list(ingest.wait_for_documents(service, sent, pause=lambda _: None))  # type: ignore[arg-type]
    found = ingest.ingest_summary(results)
    assert (found["files"], found["indexed"], found["failed"]) == (3, 1, 2)
    assert {one.path.name: one.reason for one in results if one.failed} == {"b.pdf": "T: D (415 c)", "c.txt": "no text"}


def test_waiting_ends_when_nothing_moves_and_says_that_nothing_is_lost() -> None:
    service = Service({"a.txt": {"id": "1", "status": "queued"}}, {"1": [{"status": "queued"}]})
    sent = list(ingest.send_files(service, [Path("a.txt")], None))  # type: ignore[arg-type]
    paused: list[float] = []
    with pytest.raises(NeedsHuman, match=r"1 of 1 are accepted and wait.*They are kept"):
        list(ingest.wait_for_documents(service, sent, pause=paused.append))  # type: ignore[arg-type]
    assert sum(paused) == ingest.STALLED_SECONDS


@pytest.mark.parametrize("status", [401, 503])
def test_a_failure_that_every_file_would_meet_ends_at_once(status: int) -> None:
    with pytest.raises(ServiceRefused):
        list(ingest.send_files(Service({"a.txt": _refused(status)}, {}), [Path("a.txt")], None))  # type: ignore[arg-type]


def test_a_file_whose_name_is_no_utf8_is_found_and_named_in_words(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
    try:
        odd.write_text("x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (found,) = ingest.files_to_send([tmp_path], SUFFIXES)
    assert words(found).encode("utf-8").endswith("/caf\N{REPLACEMENT CHARACTER}.txt".encode())
    assert json.dumps(ingest.ingest_summary([ingest.FileProgress(found, "refused")]), ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize(
    "error", [UnicodeEncodeError("utf-8", "\udce9", 0, 1, "x"), Unreachable("x", "reset"), PermissionError()]
)
def test_one_file_that_cannot_be_sent_never_ends_the_run(error: Exception) -> None:
    service = Service({"a.txt": error, "b.txt": {"id": "1", "status": "queued"}}, {})
    sent = list(ingest.send_files(service, [Path("a.txt"), Path("b.txt")], None))  # type: ignore[arg-type]
    assert [one.status for one in sent] == ["refused", "queued"]
    assert sent[0].reason
