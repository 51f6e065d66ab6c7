"""Each load test has a folder of its own."""

from __future__ import annotations

from pathlib import Path

from teal.load.run import new_folder


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(tmp_path: Path) -> None:
    wanted = tmp_path / "load" / "20261129-120000-smoke"
    found = [new_folder(wanted) for _ in range(3)]
    assert [one.name for one in found] == [wanted.name, f"{wanted.name}-2", f"{wanted.name}-3"]
    assert all(one.is_dir() for one in found)
