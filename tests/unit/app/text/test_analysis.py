"""One analysis for what is indexed and what is asked."""

from __future__ import annotations

import pytest

from app.text.analysis import highlight, index_terms, query_terms


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("Die Straße ist gesperrt", "Strasse"), ("Teal-99 is here", "Ｔｅａｌ－９９"), ("œuvres complètes", "oeuvres"),
        ("يُغْلَقُ المَخْزَنُ", "يغلق المخزن"), ("H₂O", "H2O"), ("the ﬁlter", "filter"), ("tem\u00adperature", "temperature"),
        ("本公司仓库的退货期限是三十天", "退货期限"), ("必须出示发票才能退货", "发票"), ("返品期限は三十日です", "返品期限"), ("ระยะเวลาคืนสินค้าคือสามสิบวัน", "คืนสินค้า"),
        ("반품 기한은 삼십일입니다", "기한"), ("getUserName()", "user name"), ("max_tokens", "maxTokens"), ("the lighthouses", "lighthouse"),
        ("ERR-4032 means", "err-4032"), ("一只猫", "猫"),
    ],
)  # fmt: skip
def test_what_is_written_is_found_by_what_is_asked(written: str, asked: str) -> None:
    terms = query_terms(asked)
    assert terms
    assert set(terms) <= set(index_terms(written))


@pytest.mark.parametrize(("written", "asked"), [("6.10", "610"), ("ERR-4032", "4033"), ("発票", "退貨")])
def test_what_is_another_thing_is_not_found(written: str, asked: str) -> None:
    assert not set(query_terms(asked)) & set(index_terms(written))


def test_an_identifier_is_one_term_and_its_parts() -> None:
    assert index_terms("ERR-4032") == ["err", "4032", "err4032"]


def test_marked_words_are_those_that_were_asked_for() -> None:
    assert highlight("Die Straße <b>", {"strass"}) == "Die <mark>Straße</mark> &lt;b&gt;"
    assert highlight("本公司的退货期限是", set(query_terms("退货期限"))) == "本公司的<mark>退货期限</mark>是"
