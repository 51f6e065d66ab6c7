"""A piece that holds nothing of the kind that was asked for is no answer, however well its words match."""

from __future__ import annotations

import pytest

from app.answering.answer_type import fits_answer_type
from app.answering.question import read_question


@pytest.mark.parametrize(
    ("question", "piece", "expected"),
    [
        ("What does QX-12 mean?", "QX-12", False),
        ("What does QX-12 mean?", "code: QX-12", False),
        ("What does QX-12 mean?", "QX-12: The tank is empty.", True),
        ("How many berths does the Gull have?", "The Gull lies at the north pier.", False),
        ("How many berths does the Gull have?", "The Gull has twelve berths.", True),
        ("How many residents came to the meeting?", "Seventeen members of the residents came to the meeting.", False),
        ("How many residents came to the meeting?", "Seventeen residents came to the meeting.", True),
        ("How long is the library open?", "The library is open until midnight.", True),
        ("How many days is the library shut?", "The library is open until midnight.", False),
        ("How heavy is the Gull?", "The Gull is guaranteed for 24 months.", False),
        ("How heavy is the Gull?", "The Gull weighs 18 kg.", True),
        ("What colour is the lamp Merle?", "The lamp Merle works with our dimmer.", False),
        ("What colour is the lamp Merle?", "The lamp Merle is dark green.", True),
        ("Welche Farbe hat die Lampe?", "Die Lampe ist dunkelgrün.", False),  # a compound is not looked into
        ("What is the telephone number of the desk?", "Tell the desk about it.", False),
        ("What is the telephone number of the desk?", "The desk answers at 0800 44 12 90.", True),
        ("Who insures the house?", "The house stands in a quiet street.", False),
        ("Who insures the house?", "The house is insured by Halvard Moe.", True),
        ("Who cooks at the Heron?", "House: the Heron, Kitchen: fish", False),
        ("Who may open the gate?", "Only the treasurer may open the gate.", True),
        ("When does the ferry leave?", "The ferry leaves from the old quay.", False),
        ("When does the ferry leave?", "The ferry leaves on Tuesdays.", True),
        ("¿Cuántos años dura la garantía?", "La garantía cubre el motor.", False),
        ("Сколько стоит билет?", "Билет стоит три рубля.", True),
        ("E7は何ですか。", "E7 means that the lid is open.", False),
    ],
)
def test_what_kind_of_answer_is_asked_for(question: str, piece: str, expected: bool) -> None:
    assert fits_answer_type(read_question(question), piece) is expected
