"""Environments of other locks, made from one small wheel in a folder: no index is asked."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from teal.laptop import environments
from teal.laptop.environments import BuildFailed, ensure_interpreter, existing_interpreter, pip_failure, prune
from teal.laptop.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / ".teal")


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A lock of one package, which pip finds in a folder."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "VALUE = 7\n")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(
            "tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return f"tiny==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n".encode()


def folders(layout: Layout) -> list[str]:
    return sorted(path.name for path in layout.environments.glob("[!.]*"))


def test_a_lock_s_environment_has_its_packages_and_is_made_once(layout: Layout, lock: bytes) -> None:
    assert existing_interpreter(layout, lock) is None
    python = ensure_interpreter(layout, lock)
    assert python != sys.executable
    said = subprocess.run([python, "-I", "-c", "import tiny; print(tiny.VALUE)"], capture_output=True, text=True, check=True)
    assert said.stdout == "7\n"
    made = Path(python).lstat()
    assert (ensure_interpreter(layout, lock), existing_interpreter(layout, lock)) == (python, python)
    assert Path(python).lstat() == made


def test_this_tree_s_own_lock_needs_no_other_environment(layout: Layout) -> None:
    own = (environments.project() / environments.LOCK).read_bytes()
    assert ensure_interpreter(layout, own) == ensure_interpreter(layout, b"") == sys.executable
    assert not layout.environments.exists()


@pytest.mark.parametrize(
    ("lock_text", "words"),
    [("tiny==1.0 --hash=sha256:" + "0" * 64, "HASHES.*tiny==1.0"), ("absent==2.0 --hash=sha256:" + "0" * 64, "absent==2.0")],
)
def test_a_lock_that_cannot_be_installed_is_refused_in_pip_s_words_and_leaves_nothing(
    layout: Layout, lock: bytes, lock_text: str, words: str
) -> None:
    assert lock  # the folder with the wheel
    with pytest.raises(BuildFailed, match=words) as caught:
        ensure_interpreter(layout, lock_text.encode())
    assert (caught.value.exit_code, "requirements.lock" in caught.value.next) == (1, True)
    assert folders(layout) == []


def test_an_interrupted_installation_leaves_nothing(layout: Layout, lock: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    real = environments.run_command

    def interrupted(command: tuple[str, ...], folder: Path) -> None:
        if "install" in command:
            raise KeyboardInterrupt
        real(command, folder)

    monkeypatch.setattr(environments, "run_command", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ensure_interpreter(layout, lock)
    assert folders(layout) == []


def test_half_an_environment_of_a_killed_command_is_made_anew(layout: Layout, lock: bytes) -> None:
    python = Path(ensure_interpreter(layout, lock))
    (python.parents[1] / ".whole").unlink()
    (python.parents[1] / "litter").touch()
    assert existing_interpreter(layout, lock) is None
    assert ensure_interpreter(layout, lock) == str(python)
    assert not (python.parents[1] / "litter").exists()


def test_what_no_lock_needs_is_removed_and_what_is_being_made_is_not(layout: Layout, lock: bytes) -> None:
    python = ensure_interpreter(layout, lock)
    for name in ("unneeded", "unfinished"):
        (layout.environments / name).mkdir()
    with (layout.environments / ".unfinished.making").open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        prune(layout, [lock])
        assert folders(layout) == sorted([Path(python).parents[1].name, "unfinished"])
    prune(layout, [])
    assert folders(layout) == []


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("WARNING: x\nERROR: Could not find a version\nERROR: No matching distribution found for a==1\n", "No matching distribution found for a==1"),
        ("ERROR: THESE DO NOT MATCH. Look at them.\n    a==1 from somewhere:\n        Expected b\n", "THESE DO NOT MATCH: a==1"),
        ("Traceback\n  boom\n", "boom"),
        ("", "no reason given"),
    ],
)  # fmt: skip
def test_pip_s_reason_is_one_line(said: str, words: str) -> None:
    assert pip_failure(said) == words
