"""The picture in docs/architecture.md is what the program registers."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.evaluation.picture import BEGIN, END, PAGE, direct_needs, draw, main, page_with_picture
from tests.unit.infra.conftest import evaluate


def test_the_picture_is_in_step() -> None:
    page = PAGE.read_text()
    assert page_with_picture(page, draw(evaluate("platform", "prod"))) == page, (
        "run: .venv/bin/python -m infra.evaluation.picture"
    )


def test_it_shows_every_component_and_every_kind_that_readers_look_for() -> None:
    result = evaluate("platform", "prod")
    picture = draw(result)
    tops = {each.name for each in result.resources if "::pulumi:pulumi:Stack::" in each.parent and not each.custom}
    assert [name for name in tops if f"<b>{name}</b>" not in picture] == ["keys"]  # everything needs them
    for kind in ("EKS Auto Mode", "ALB", "WAF", "RDS PostgreSQL", "ElastiCache", "Elasticsearch by ECK", "ECR", "SNS topic"):
        assert kind in picture


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    needs = {"a": {"b", "c"}, "b": {"c"}, "c": set[str]()}
    assert direct_needs("a", needs) == {"b"}


def test_needs_in_a_circle_do_not_hang() -> None:
    needs = {"a": {"b"}, "b": {"c"}, "c": {"a"}}
    assert direct_needs("a", needs) == {"b"}


def test_a_stale_picture_is_told_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.evaluation.picture.platform", lambda stack: evaluate("platform", stack))  # once is enough
    page = tmp_path / "architecture.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert main(["--check"], page) == 1
    assert main([], page) == 0
    assert main(["--check"], page) == 0
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith(f"{END}\nafter\n")


def test_a_page_without_a_place_for_it_is_an_error() -> None:
    with pytest.raises(ValueError, match="no place for the picture"):
        page_with_picture("nothing here", "x")
