"""What a release is made from, in words, and how it differs from the one before."""

from __future__ import annotations

from teal.record.source import ReleaseSource, differences


def test_a_commit_with_changes_says_so() -> None:
    made = ReleaseSource(commit="0123456789abcdef", dirty=True, branch="main", author="Ann")
    assert made.said() == "0123456789ab+changes, branch main, by Ann"
    assert ReleaseSource(branch="main").said() == "branch main"
    assert ReleaseSource().said() == ""


def test_what_is_new_gone_or_other_is_named_and_what_is_the_same_is_not() -> None:
    before, after = {"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}
    assert list(differences(before, after)) == ["b 1 -> 2", "c 1 is gone", "d 1 is new"]
