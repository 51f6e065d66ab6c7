"""Of when a document is."""

from __future__ import annotations

import pytest

from app.answering.dates import date_added, date_stated


@pytest.mark.parametrize(
    ("title", "source", "metadata", "passage", "expected"),
    [
        ("Memo", None, {"date": "2024-05-06"}, "Built in 1931.", "2024-05-06"),
        ("Leave policy (2024)", None, {}, "", "2024"),
        ("Memo", "files/memo-2021-03.txt", {}, "", "2021-03"),
        ("Memo", None, {}, "# Memo of 12 March 2024\n\nBuilt in 1931.", "2024-03-12"),
        ("Memo", None, {}, "Stand: 1.5.2023\n\nText.", "2023-05-01"),
        ("休暇規程（2020年4月1日）", None, {}, "", "2020-04-01"),
        ("Memo", None, {}, "The bridge was built in 1931.", ""),
        ("Order 20240", None, {}, "", ""),
    ],
)
def test_a_document_says_its_date(title: str, source: str | None, metadata: dict[str, str], passage: str, expected: str) -> None:
    assert date_stated(title, source, metadata, passage) == expected


def test_an_id_says_when_its_document_was_added() -> None:
    assert date_added("01890a5d-ac96-774b-bcce-b302099a8057")[:10] == "2023-06-30"
    assert date_added("of another kind") == ""
