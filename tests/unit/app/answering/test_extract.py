"""Which pieces of a source are quoted as an answer, and which are not: a neighbour's answer is none."""

from __future__ import annotations

import numpy as np
import pytest

from app.answering.extract import extract_pieces, select_pieces
from app.answering.extractive_writer import ExtractiveWriter
from app.answering.prompt import PromptSource
from app.answering.question import read_question
from app.answering.quotable import quotable
from app.text.chunk import chunk

pytestmark = pytest.mark.anyio


def _sources(*documents: tuple[str, str]) -> list[PromptSource]:
    """Every passage of small documents, cut as the worker cuts them."""
    found: list[PromptSource] = []
    for number, (title, text) in enumerate(documents):
        passages = [one.whole for one in chunk(text, target_tokens=180, overlap_tokens=30)]
        found += [
            PromptSource(len(found) + place, title, passage, str(number), lead=passages[0][:400])
            for place, passage in enumerate(passages, 1)
        ]
    return found


async def _quoted(question: str, *documents: tuple[str, str]) -> list[str]:
    """What words alone find."""
    found = await extract_pieces(read_question(question), _sources(*documents), None)
    return [one.piece.text for one in select_pieces(read_question(question), found)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Use a slice instead of an index here. It is faster that way.",
            ["Use a slice instead of an index here.", "It is faster that way."],
        ),
        (
            "To get one object (e.g. SELECT foo LIMIT 1), use an index.",
            ["To get one object (e.g. SELECT foo LIMIT 1), use an index."],
        ),
        ("SELECT foo FROM bar LIMIT 1), use an index instead of a slice.", []),
        (
            "Making queries\n\nOnce you have models you can query them freely.",
            ["Once you have models you can query them freely."],
        ),
        ("* Alternatively, you can pass three arguments to it.", ["Alternatively, you can pass three arguments to it."]),
        ("The default value of this setting is:", []),
        ("- Reserve: 17 l\n- Pressure: 4 bar", ["Reserve: 17 l", "Pressure: 4 bar"]),
        ("| Zone | Day |\n|---|---|\n| Harbour | 6.10 |", ["Zone: Harbour, Day: 6.10"]),
        ("Gate code: 4711\nOffice: room 12", ["Gate code: 4711", "Office: room 12"]),
        ("It is shut.", ["It is shut."]),
    ],
)
def test_sentences_items_rows_and_lines_of_keys_and_values_stand_alone(text: str, expected: list[str]) -> None:
    assert [piece.text for piece in quotable(PromptSource(1, "t", text)) if not piece.leads] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A QuerySet has zero or one\nresult. Ask\nfor more.", ["A QuerySet has zero or one result.", "Ask for more."]),
        (
            "The heavy lifting is done by the\nPaginator class, which\nsplits a list.",
            ["The heavy lifting is done by the Paginator class, which splits a list."],
        ),
        ("Room 12\nOpen until 5", ["Room 12", "Open until 5"]),
    ],
)
def test_a_line_that_breaks_inside_a_sentence_is_no_heading_and_no_piece(text: str, expected: list[str]) -> None:
    assert [piece.text for piece in quotable(PromptSource(1, "t", text))] == expected


async def test_the_same_sentence_from_two_sources_is_said_once() -> None:
    text = "The cache backend is chosen by the CACHES setting."
    assert await _quoted("Which setting chooses the cache backend?", ("a", text), ("b", text)) == [text]


async def test_a_sentence_about_something_else_is_left_out() -> None:
    text = "The cache backend is chosen by the CACHES setting. Potatoes grow well in loose and sandy soil."
    [only] = await _quoted("Which setting chooses the cache backend?", ("t", text))
    assert "CACHES" in only


GUIDE = """# Pages

## Splitting a list into pages

Give Paginator a list, and it gives you its pages:

    Paginator(objects, 2)

## Reference

You usually won't split a list into pages by hand.
"""


async def test_an_explanation_begins_with_what_to_do_and_not_with_what_one_does_not() -> None:
    quoted = await _quoted("How do I split a list into pages?", ("Guide", GUIDE))
    assert quoted[0] == "Give Paginator a list, and it gives you its pages:"


async def test_a_line_that_announces_something_answers_no_other_question() -> None:
    assert await _quoted("Which backend does the cache use?", ("Guide", "The cache uses this backend:\n\n    x\n")) == []


MACHINES = "# Machine Alder\n\nThe warranty lasts 60 months.\n\n# Machine Cedar\n\nThe warranty lasts 48 months.\n"
PUMPS = "The Minto pump has a reserve of 17 litres. It was built in 1990.\n\nThe holidays of the yard begin in July."
CODES = "| Code | Meaning |\n|---|---|\n| ERR-4032 | The disk is full |\n| ERR-4033 | The disk is slow |\n"


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        ("How long does the warranty of machine Cedar last?", MACHINES, ["The warranty lasts 48 months."]),
        ("How long does the warranty of machine Alder last?", MACHINES, ["The warranty lasts 60 months."]),
        ("How long does the warranty of machine Birch last?", MACHINES, []),
        ("What is the reserve of the Minto pump?", PUMPS, ["The Minto pump has a reserve of 17 litres."]),
        ("How much does the reserve tank of Tavy hold?", PUMPS, []),
        ("How much does the Minto pump weigh?", PUMPS, []),
        ("When was the Minto pump built?", PUMPS, ["It was built in 1990."]),
        ("What does ERR-4032 mean?", CODES, ["Code: ERR-4032, Meaning: The disk is full"]),
        ("What does ERR-4055 mean?", CODES, []),
        ("Which disk is full in 2024?", CODES, []),
    ],
)
async def test_names_identifiers_and_numbers_of_the_question_are_in_what_is_quoted(
    question: str, text: str, expected: list[str]
) -> None:
    assert await _quoted(question, ("Notes", text)) == expected


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        ("仓库的退货期限是多少天？", "本公司仓库的退货期限是三十天。客户必须出示发票才能退货。", "本公司仓库的退货期限是三十天。"),
        ("返品期限は何日ですか", "返品期限は三十日です。返品には領収書が必要です。", "返品期限は三十日です。"),
        ("Wann findet die Türprüfung statt?", "Die Brandschutztürprüfung findet im Mai statt.", "Die Brandschutztürprüfung findet im Mai statt."),
        ("متى يغلق المخزن؟", "يُغْلَقُ المَخْزَنُ في السَّاعَةِ الخَامِسَةِ مَسَاءً.", "يُغْلَقُ المَخْزَنُ في السَّاعَةِ الخَامِسَةِ مَسَاءً."),
        ("Когда открываются склады?", "Склады открываются в девять утра. Ключи у сторожа.", "Склады открываются в девять утра."),
        ("食堂的咖啡多少钱？", "食堂每天中午十二点供应午餐。价格是十八元。", None),
        ("Wann öffnet das Schwimmbad?", "Das Lager öffnet um neun Uhr.", None),
    ],
)  # fmt: skip
async def test_words_decide_in_every_script(question: str, text: str, expected: str | None) -> None:
    assert await _quoted(question, ("t", text)) == ([expected] if expected else [])


async def test_a_row_says_the_columns_that_were_asked_for_and_its_heading() -> None:
    table = "# Tariffs of the Brell tram\n\n| Zone | Single | Day |\n|---|---|---|\n| Harbour | 2.40 | 6.10 |\n| Uplands | 3.15 | 7.95 |\n"
    question = read_question("What is the day ticket of the Brell tram in the Harbour zone?")
    claims = [claim async for claim in ExtractiveWriter(None).write(question, _sources(("Tariffs", table)), None)]
    assert [claim.text.strip() for claim in claims] == ["Tariffs of the Brell tram: Zone: Harbour, Day: 6.10 [1]"]


async def test_conflicting_documents_are_both_told_the_newest_first_with_their_dates() -> None:
    old = PromptSource(1, "Memo", "The notice period is 30 days.", "a", "2021-03-01", "2021-03-01")
    new = PromptSource(2, "Memo of 2024", "The notice period is 45 days.", "b", "2024", "2024")
    question = read_question("How long is the notice period?")
    claims = [claim async for claim in ExtractiveWriter(None).write(question, [old, new], None)]
    assert [claim.text.strip() for claim in claims] == [
        "According to “Memo of 2024” (2024): The notice period is 45 days. [2]",
        "But according to “Memo” (2021-03-01): The notice period is 30 days. [1]",
    ]
    assert all(claim.conflicting for claim in claims)


class Scripted:
    """Says of each text how near it is to the question, by what the test gives."""

    def __init__(self, latin_only: bool) -> None:
        self.asked: list[str] = []
        self._latin_only = latin_only

    def reads(self, text: str) -> bool:
        return text.isascii() or not self._latin_only

    async def vectors(self, texts: object) -> list[object]:
        raise AssertionError("nothing here can be read by the model")


async def test_similarity_counts_nothing_where_the_model_cannot_read() -> None:
    question = read_question("返品期限は何日ですか")
    found = await extract_pieces(question, _sources(("t", "返品期限は三十日です。")), Scripted(latin_only=True))  # type: ignore[arg-type]
    assert [one.piece.text for one in found] == ["返品期限は三十日です。"]


DEFINITIONS = "# Codes of the gateway\n\nQX-12\n    The tank is empty. Fill it.\n\nQX-13\n    The tank is full.\n"
RECORDS = "fields.name: depth_limit\nfields.default: 40\nfields.unit: m\n\nfields.name: speed_limit\nfields.default: 7\nfields.unit: kn\n"
LEASE = (
    "# Lease of Ms Ingrid Solberg\n\n## § 1 Rooms\n\nThe flat has three rooms.\n\n## § 2 Deposit\n\nThe deposit is 900 euros.\n"
)


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        ("What does QX-12 mean?", DEFINITIONS, ["The tank is empty.", "Fill it."]),
        ("What is the default of depth_limit?", RECORDS, ["name: depth_limit, default: 40, unit: m"]),
        ("What is the default of depth_limits_2?", RECORDS, []),
        ("How much is the deposit of Ms Solberg?", LEASE, ["The deposit is 900 euros."]),
        ("How much is the deposit of Ms Lindqvist?", LEASE, []),
    ],
)
async def test_a_name_is_no_answer_but_what_stands_under_or_beside_it_is(question: str, text: str, expected: list[str]) -> None:
    assert await _quoted(question, ("Notes", text)) == expected


async def test_another_version_of_the_document_is_told_though_it_says_it_otherwise() -> None:
    older = "Statutes of the rowing club Ferry, 2019\n\nA renewal is possible once, unless somebody waits."
    newer = "# Statutes of the rowing club Ferry, 2023\n\n## Locker\n\nA renewal is possible 2 times on the page."
    question = read_question("How often is the renewal of a locker possible in the rowing club Ferry?")
    sources = _sources(("statutes-2019", older), ("statutes-2023", newer))
    claims = [claim.text async for claim in ExtractiveWriter(None).write(question, sources, None)]
    assert [claim.startswith(("According", "But according")) for claim in claims] == [True, True]


async def test_a_document_of_another_club_is_no_version() -> None:
    one = "Statutes of the rowing club Ferry\n\nA locker costs 30 euros."
    other = "Statutes of the rowing club Heron\n\nA locker costs 45 euros."
    assert await _quoted("What does a locker cost in the rowing club Ferry?", ("a", one), ("b", other)) == [
        "A locker costs 30 euros."
    ]


MAIL = """Subject: Re: Painting the boathouse
From: Ines
Date: Mon, 03 Mar 2025 09:00:00 +0100

Hello Otto,

not then, the paint is not there yet. Let us begin on Tuesday 18 March.

On 1 March 2025 Otto wrote:
> Shall we paint the boathouse on Saturday 8 March?
> The brushes are in the shed.
"""


def _mail(text: str) -> list[PromptSource]:
    return [PromptSource(1, "Re: Painting the boathouse", text, "m", lead=text[:400])]


class Near:
    """Finds every text near to every other."""

    def reads(self, text: str) -> bool:
        return True

    async def vectors(self, texts: list[str]) -> list[object]:
        return [np.ones(1, dtype=np.float32) for _ in texts]


async def test_what_an_email_quotes_gives_way_to_its_own_words() -> None:
    question = read_question("On which day do we paint the boathouse?")
    claims = [claim.text async for claim in ExtractiveWriter(Near()).write(question, _mail(MAIL), None)]  # type: ignore[arg-type]
    assert any("18 March" in claim for claim in claims)
    assert not any("8 March?" in claim or claim.startswith(("Subject", "Date")) for claim in claims)


async def test_what_only_the_quoted_message_says_is_told_with_who_wrote_it() -> None:
    question = read_question("Where are the brushes?")
    [claim] = [claim.text async for claim in ExtractiveWriter(None).write(question, _mail(MAIL), None)]
    assert claim == "On 1 March 2025 Otto wrote: The brushes are in the shed. [1] "


TOLLS = "| Weight of the ship (tons) | Who decides |\n|---|---|\n| up to 500 | harbour master |\n| 501 to 2,500 | harbour board |\n| above 2,500 | ministry council |\n"
WEEK = (
    "| Hour | Monday | Tuesday |\n|---|---|---|\n| 9h | Physique | Latin |\n\n## Salles\n\n"
    "| Matière | Professeur |\n|---|---|\n| Physique | Mme Aubry |\n"
)
TERMS = (
    "Hire of the hall\n\n§ 1 Rooms\n\nThe hall has two rooms.\n\n§ 2 Deposit\n\nThe hirer leaves 250 euros with the caretaker.\n"
)
RELEASES = "# Changes of Otterly\n\n## 3.1.0\n\n- New: maps can be printed.\n- Removed: the old exporter.\n\n## 3.0.0\n\n- New: a dark view.\n"
TICKETS = (
    "jobs.id: T-1\njobs.title: Leaking tap\njobs.owner: Ada Brook\njobs.floor: 2\n\njobs.id: T-2\njobs.title: Broken lamp\njobs.owner: Max Lund\n"
    "jobs.floor: 3\n\njobs.id: T-3\njobs.title: Loose rail\njobs.owner: Ada Brook\njobs.floor: 1\n"
)
SHOP = "# Potter's yard\n\n- Broken on arrival? Send a picture within 20 hours.\n- Gift wrapping costs 3 euros.\n"


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        ("Who decides about a ship with a weight of 1,800 tons?", TOLLS, ["Weight of the ship (tons): 501 to 2,500, Who decides: harbour board"]),
        ("Who decides about a ship with a weight of 400 tons?", TOLLS, ["Weight of the ship (tons): up to 500, Who decides: harbour master"]),
        ("Who decides about a ship with a speed of 1,800 knots?", TOLLS, []),
        ("Which floor has the job of Ada Brook?", TICKETS, ["id: T-1, title: Leaking tap, owner: Ada Brook, floor: 2", "id: T-3, title: Loose rail, owner: Ada Brook, floor: 1"]),
        ("Qui est le professeur de Latin ?", WEEK, []),
        ("How high is the deposit?", TERMS, ["The hirer leaves 250 euros with the caretaker."]),
        ("What changed in Otterly 3.1.0?", RELEASES, ["New: maps can be printed.", "Removed: the old exporter."]),
        ("What changed in Otterly 3.2.0?", RELEASES, []),
        ("Which version of Otterly dropped the exporter?", RELEASES, ["Removed: the old exporter."]),
        ("Which jobs has Ada Brook as owner?", TICKETS, ["id: T-1, title: Leaking tap, owner: Ada Brook, floor: 2", "id: T-3, title: Loose rail, owner: Ada Brook, floor: 1"]),
        ("Which jobs has Ada Stone as owner?", TICKETS, []),
        ("My jug arrived broken. Until when do I send a picture?", SHOP, ["Broken on arrival? Send a picture within 20 hours."]),
        ("How many boats were sold in the first quarter?", "# Boats\n\n## Q1\n\n12 boats were sold.\n\n## Q2\n\n19 boats were sold.\n", ["12 boats were sold."]),
        ("¿Cuántas pastillas de Sedal puedo tomar como máximo?", "# Sedal\n\n## Tomar pastillas\n\nNo tome más de dos pastillas al día. No las mastique.\n", ["No tome más de dos pastillas al día."]),
        ("¿Cuántas veces se renueva el pase de Sedal?", "El pase de Sedal se renueva una vez. Es una tarjeta azul.", ["El pase de Sedal se renueva una vez."]),
        ("Wie hoch ist die Kaution der Lindengasse 14?", "Mietvertrag\n\n§ 1 Mietsache\n\nVermietet wird Lindengasse 14 in Ried.\n\n§ 2 Kaution\n\nDie Kaution beträgt 900 Euro.\n", ["Die Kaution beträgt 900 Euro."]),
        ("Wie hoch ist die Kaution der Lindengasse 15?", "Mietvertrag\n\n§ 1 Mietsache\n\nVermietet wird Lindengasse 14 in Ried.\n\n§ 2 Kaution\n\nDie Kaution beträgt 900 Euro.\n", []),
        ("What is the voltage of the pump?", "The pump has a voltage of 12 V. The tank holds 20 l. Then it is full.", ["The pump has a voltage of 12 V."]),
    ],
)  # fmt: skip
async def test_spans_sections_lists_and_told_circumstances_are_read_as_people_mean_them(
    question: str, text: str, expected: list[str]
) -> None:
    assert await _quoted(question, ("Notes", text)) == expected


async def test_the_version_that_was_asked_for_is_said_though_only_the_heading_has_it() -> None:
    question = read_question("Which version of Otterly dropped the exporter?")
    claims = [claim.text async for claim in ExtractiveWriter(None).write(question, _sources(("Notes", RELEASES)), None)]
    assert claims == ["Changes of Otterly: 3.1.0: Removed: the old exporter. [1] "]
