"""What moto takes of the platform is measured, and docs/proof.md says it as it is."""

from __future__ import annotations

from tests.parts.infra import moto_table
from tests.services import aws_server


def test_every_type_of_the_program_is_in_the_table() -> None:
    asked = [call.kind for call in moto_table.CALLS if call.kind]
    assert sorted(asked) == list(moto_table.types_of_the_program())


def test_the_page_says_what_moto_says() -> None:
    with aws_server.start() as aws:
        found = list(moto_table.measure(aws))
    page = moto_table.PAGE.read_text(encoding="utf-8")
    assert page == moto_table.page_with_table(page, moto_table.table(found)), "run `python -m tests.parts.infra.moto_table`"
    assert sum(not said for _, said in found) > len(found) / 2
