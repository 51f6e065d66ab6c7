"""Recognises numbers in a text in their various spellings."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_NUMBER: Final = re.compile(r"\d(?:[\d.,'’\u00a0\u202f]*\d)?")
_GROUPED: Final = re.compile(r"\d{1,3}(?:[.,'’\u00a0\u202f]\d{3})+")
# Ranges as table cells express them: "501 to 2,500", "up to 500", "above 2,500".
_BEGUN: Final = r"\A\W{0,3}(?:[A-Z]{3}\s)?"
_FIGURE: Final = r"[€$£]?\s?(\d[\d.,'’\u00a0\u202f]{0,18})"
_BETWEEN: Final = re.compile(
    rf"{_BEGUN}(?:from |von |de |от )?{_FIGURE}\s?[^\W\d]{{0,12}}[€$£%]?\s?(?:to|bis|à|a|до|[-–—~〜至到])\s?{_FIGURE}",
    re.IGNORECASE,
)
_UP_TO: Final = re.compile(
    rf"{_BEGUN}(?:up to|under|below|less than|at most|bis(?: zu)?|unter|höchstens|jusqu['’]à|moins de|hasta|menos de|fino a|до|[<≤])\s?{_FIGURE}",
    re.IGNORECASE,
)
_ABOVE: Final = re.compile(
    rf"{_BEGUN}(?:above|over|more than|from|at least|über|ab|mehr als|mindestens|plus de|à partir de|más de|desde|oltre|свыше|от|[>≥])\s?{_FIGURE}",
    re.IGNORECASE,
)
_HAN: Final = re.compile(r"[〇零一二两兩三四五六七八九十百千万萬]+")
_WORD: Final = re.compile(r"[^\W\d_]+")
_LIST_NUMBER: Final = re.compile(r"^[^\S\n]*+(?:\d{1,2}[.)]|#{1,6}[^\S\n]*+\d{1,2}[.)])\s", re.MULTILINE)
_ONES: Final = {
    word: number
    for number, words in enumerate(
        ["zero null", "one once", "two twice zwei deux dos", "three drei trois tres", "four vier quatre cuatro", "five fünf cinq cinco", "six sechs seis", "seven sieben sept siete", "\n        eight acht huit ocho", "nine neun neuf nueve", "ten zehn dix diez", "eleven elf onze once", "twelve zwölf douze doce dozen", "thirteen dreizehn treize trece", "\n        fourteen vierzehn quatorze catorce", "fifteen fünfzehn quinze quince", "sixteen sechzehn seize", "seventeen siebzehn", "eighteen achtzehn", "nineteen neunzehn"]
    )
    for word in words.split()
}  # fmt: skip
_TENS: Final = {
    word: 10 * number
    for number, words in enumerate(
        ["twenty zwanzig vingt veinte", "thirty dreißig trente treinta", "forty vierzig quarante cuarenta", "fifty fünfzig cinquante cincuenta", "\n        sixty sechzig soixante sesenta", "seventy siebzig setenta", "eighty achtzig ochenta", "ninety neunzig noventa"],
        2,
    )
    for word in words.split()
}  # fmt: skip
_SCALES: Final = {
    "hundred": 100,
    "hundert": 100,
    "cent": 100,
    "cien": 100,
    "thousand": 1000,
    "tausend": 1000,
    "mille": 1000,
    "mil": 1000,
}
_HAN_DIGITS: Final = {one: number for number, one in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
_HAN_SCALES: Final = {"十": 10, "百": 100, "千": 1000}


def numbers_in(text: str) -> frozenset[str]:
    """The numbers in a text, number words included, in one spelling: no thousands
    separators, a decimal point, no leading zeros."""
    text = unicodedata.normalize("NFKC", text)
    found = {normalized_number(one) for one in _NUMBER.findall(text)}
    return frozenset(found | set(map(str, _said(text))) | {str(_han(one)) for one in _HAN.findall(text)})


def claimed(text: str) -> frozenset[str]:
    """The numbers that a sentence states in digits, without the number of a list's item."""
    return frozenset(normalized_number(one) for one in _NUMBER.findall(_LIST_NUMBER.sub("", unicodedata.normalize("NFKC", text))))


def is_within(number: str, cell: str) -> bool:
    """Whether a number is in the range that a table cell expresses."""
    cell = unicodedata.normalize("NFKC", cell)
    try:
        asked = float(normalized_number(number))
        if found := _BETWEEN.match(cell):
            return float(normalized_number(found[1])) <= asked <= float(normalized_number(found[2]))
        if found := _UP_TO.match(cell):
            return asked <= float(normalized_number(found[1]))
        found = _ABOVE.match(cell)
        return found is not None and asked >= float(normalized_number(found[1]))
    except ValueError:  # a date or a version has more than one point
        return False


def holds_numbers(sentence: str, passage: str) -> bool:
    """Whether the passage contains every number of the sentence."""
    stated = claimed(sentence)
    if not stated:
        return True
    there = numbers_in(passage)
    parts = {
        part
        for one in _NUMBER.findall(unicodedata.normalize("NFKC", passage))
        for part in map(_plain, re.split(r"\D", one))
        if part
    }
    return all(one in there or one in parts for one in stated)


def normalized_number(number: str) -> str:
    """A number in the normal spelling that `numbers_in` uses."""
    number = number.rstrip(".,'’\u00a0\u202f")
    if _GROUPED.fullmatch(number):
        return _plain(re.sub(r"\D", "", number))
    whole, _, rest = re.sub(r"[,'’\u00a0\u202f]", ".", number).partition(".")
    if "." in rest:
        return f"{_plain(whole)}.{rest}"
    rest = rest.rstrip("0")
    return f"{_plain(whole)}.{rest}" if rest else _plain(whole)


def _plain(digits: str) -> str:
    return digits.lstrip("0") or ("0" if digits else "")


def _said(text: str) -> set[int]:
    found, held = set[int](), 0
    for word in (*_WORD.findall(text.lower()), ""):
        number = _ONES.get(word, _TENS.get(word))
        if number is not None:
            found.add(number)
            held = held + number if held and (held % 10 == 0 and number < 10) else number
        elif word in _SCALES:
            held = max(held, 1) * _SCALES[word]
        else:
            if held:
                found.add(held)
            held = 0
    return found


def _han(number: str) -> int:
    total = section = digit = 0
    for one in number:
        if one in _HAN_DIGITS:
            digit = digit * 10 + _HAN_DIGITS[one]
        elif one in _HAN_SCALES:
            section += (digit or 1) * _HAN_SCALES[one]
            digit = 0
        else:
            total += (section + digit) * 10_000
            section = digit = 0
    return total + section + digit
