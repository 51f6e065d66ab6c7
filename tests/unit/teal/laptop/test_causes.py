"""A start that fails names its cause and the command that helps. The texts have the form in which Python, Caddy, Redis and Java write them."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from teal.errors import BadInput, PartFailed
from teal.laptop import causes, doctor, limits, supervisor, waiting
from teal.laptop.causes import explain
from teal.laptop.layout import Layout
from teal.laptop.supervisor import SupervisedProcess


@pytest.mark.parametrize(
    ("said", "cause", "next"),
    [
        ("[Errno 98] error while attempting to bind on address ('127.0.0.1', 20001): address already in use", "port", "teal down"),
        ("Warning: Could not create server TCP listening socket 127.0.0.1:20003: bind: Address already in use", "port", "teal up"),
        ("sqlite3.OperationalError: database or disk is full", "disk is full", "disk-full"),
        ("OSError: [Errno 28] No space left on device", "disk is full", "disk-full"),
        ("accept tcp 127.0.0.1:8443: accept4: too many open files", "too few files", "ulimit -n"),
        ("OSError: [Errno 30] Read-only file system: '/x/.teal/data'", "read-only", "TEAL_HOME="),
        ("OSError: [Errno 12] Cannot allocate memory", "not enough memory", "teal up"),
        ("java.lang.OutOfMemoryError: Java heap space", "not enough memory", "teal up"),
        ("sqlite3.DatabaseError: database disk image is malformed", "database file is damaged", "teal up"),
        ("sqlite3.DatabaseError: file is not a database", "database file is damaged", "teal up"),
        ("Error: loading initial config: provisioning CA 'local': parsing PEM", "certificate", "teal up"),
        ("PermissionError: [Errno 13] Permission denied: '/x/.teal/data/catalog.db'", "may not read or write", "teal doctor"),
        ("ModuleNotFoundError: No module named 'app.http'", "code of its version", "teal up"),
        ("SyntaxError: source code string cannot contain null bytes", "code of its version", "teal up"),
        ("pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings", "settings", "TEAL_"),
        ("Exception in thread \"main\" java.lang.NoClassDefFoundError: org/elasticsearch", "Elasticsearch is damaged", "teal up"),
    ],
)  # fmt: skip
def test_last_words_name_their_cause(said: str, cause: str, next: str) -> None:
    found = explain(f"Traceback (most recent call last):\n{said}\n")
    assert found is not None
    assert cause in found.what
    assert next in found.next


def test_words_that_name_no_cause_have_none() -> None:
    assert explain("Segmentation fault") is None
    assert explain("") is None


def test_a_program_that_keeps_ending_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path)
    layout.logs.mkdir()
    (layout.logs / "toy.out.log").write_text("OSError: [Errno 28] No space left on device\n")
    pids = iter(range(1, 100))
    monkeypatch.setattr(supervisor, "processes", lambda _: {"toy": SupervisedProcess("toy", "STARTING", next(pids), "")})
    monkeypatch.setattr(waiting, "STEP_SECONDS", 0.0)
    with pytest.raises(PartFailed) as caught:
        list(waiting.until(layout, "toy", lambda: (False, ""), 90.0))
    assert "the disk is full" in caught.value.what
    assert "disk-full" in caught.value.next


@pytest.mark.parametrize(("soft", "hard", "becomes"), [(300, 300, 300), (256, 1024, 1024), (1024, -1, 4096), (8192, 8192, 8192)])
def test_the_descriptor_limit_is_raised_as_far_as_it_may_go(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, becomes: int
) -> None:
    kept = [soft]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (kept[0], hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: kept.__setitem__(0, given[0]))
    limits.raise_limit()
    assert kept == [becomes]


def test_a_descriptor_limit_that_is_too_low_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (128, 128))
    with pytest.raises(BadInput) as caught:
        limits.raise_limit()
    assert "ulimit -n" in caught.value.next


@pytest.mark.parametrize(
    ("number", "said", "next"),
    [
        (errno.ENOSPC, "disk is full", "disk-full"),
        (errno.EDQUOT, "disk is full", "disk-full"),
        (errno.EROFS, "read-only", "TEAL_HOME="),
        (errno.EACCES, "may not read or write", "teal doctor"),
        (errno.EMFILE, "too few files", "ulimit -n"),
        (errno.ENOMEM, "not enough memory", "teal up"),
    ],
)
def test_what_the_machine_refuses_to_a_command_is_no_unexpected_error(number: int, said: str, next: str) -> None:
    found = causes.of_machine(OSError(number, os.strerror(number), "/x/.teal/stack.json.part"))
    assert found is not None
    assert (said in found.what.lower(), found.where, next in found.next) == (True, "/x/.teal/stack.json.part", True)
    assert causes.of_machine(FileNotFoundError(errno.ENOENT, "No such file or directory", "/x")) is None


def test_doctor_tells_a_folder_that_cannot_be_written_from_a_disk_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(tmp_path)
    assert doctor.disk_row(layout, 1).ok
    full = doctor.disk_row(layout, 1 << 60)
    assert (full.ok, "free some" in full.mend) == (False, True)
    monkeypatch.setattr(os, "access", lambda *_: False)  # as for root on a disk that is mounted to be read alone
    locked = doctor.disk_row(layout, 1)
    assert (locked.ok, "cannot be written" in locked.detail, "free some" in locked.mend) == (False, True, False)
