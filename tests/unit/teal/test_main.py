"""The command forgets what the shell says to Python before it imports anything else."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import pytest

from teal import __main__ as entry


def test_what_the_shell_says_to_python_is_forgotten_and_nothing_else() -> None:
    own = str(Path(entry.__file__).parents[1])
    environ = {
        "PYTHONPATH": os.pathsep.join(("/opt/other/packages", own)), "PYTHONWARNINGS": "error", "PYTHONSTARTUP": "/home/me/startup.py",
        "PYTHONIOENCODING": "ascii", "PYTHONDONTWRITEBYTECODE": "1", "PYTHON_VERSION_OF_MINE": "3", "HOME": "/home/me", "TEAL_HOME": "/t",
    }  # fmt: skip
    path = ["/env/bin", "/opt/other/packages", own, "/usr/lib/python3", "/env/site-packages"]
    entry.remove_python_settings(environ, path)
    assert environ == {"PYTHONDONTWRITEBYTECODE": "1", "HOME": "/home/me", "TEAL_HOME": "/t"}
    assert path == ["/env/bin", own, "/usr/lib/python3", "/env/site-packages"], "this code's own folder stays"


def test_a_shell_that_says_nothing_to_python_changes_nothing() -> None:
    environ, path = {"HOME": "/home/me"}, ["", "/usr/lib/python3"]
    entry.remove_python_settings(environ, path)
    assert (environ, path) == ({"HOME": "/home/me"}, ["", "/usr/lib/python3"])


@pytest.mark.parametrize("entry_in_path", ["", "."])
@pytest.mark.parametrize("given", [f"{os.pathsep}/opt/other", f"/opt/other{os.pathsep}", f"/a{os.pathsep}{os.pathsep}/b"])
def test_an_empty_entry_of_pythonpath_is_the_current_folder_and_nothing_is_imported_from_it(
    given: str, entry_in_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = [str(tmp_path), entry_in_path, "/usr/lib/python3"]
    entry.remove_python_settings({"PYTHONPATH": given}, path)
    assert path == ["/usr/lib/python3"]


def test_folders_that_python_searches_anyway_stay_when_pythonpath_names_them() -> None:
    found = sysconfig.get_paths()
    own = [found["stdlib"], str(Path(found["stdlib"], "lib-dynload")), found["purelib"], found["platlib"]]
    path = [*own, "/opt/other"]
    entry.remove_python_settings({"PYTHONPATH": os.pathsep.join((*own, "/opt/other"))}, path)
    assert path == own
