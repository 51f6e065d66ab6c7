"""A release is somebody's: who, said once for all records."""

from __future__ import annotations

from pathlib import Path

import pytest

from teal.record.person import person_name

GIT = '# mine\n[core]\n\tname = nobody\n[user]\n\tname = "Ann Example"\n\temail = ann@example.org\n[alias "user"]\n\tname = x\n'


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"TEAL_WHO": " Bo ", "GITHUB_RUN_ID": "7", "GITHUB_ACTOR": "cat"}, "Bo"),
        ({"GITHUB_RUN_ID": "7", "GITHUB_ACTOR": "cat"}, "cat (run 7)"),
        ({}, "Ann Example <ann@example.org>"),
    ],
)
def test_a_persons_word_comes_before_githubs_and_that_before_gits(tmp_path: Path, environ: dict[str, str], said: str) -> None:
    (tmp_path / ".gitconfig").write_text(GIT)
    assert person_name(environ, tmp_path) == said


def test_without_any_of_them_it_is_the_account_on_this_machine(tmp_path: Path) -> None:
    assert "@" in person_name({}, tmp_path)
    (tmp_path / ".gitconfig").write_text("[core]\n\tpager = less\n")
    assert "@" in person_name({}, tmp_path)
