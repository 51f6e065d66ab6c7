"""Decodes bytes to text: first by a byte order mark, then as UTF-8, then by the encoding that letter statistics make likely.

A wrong guess is worse than a refusal, because no search would find the text. So a short text
that several encodings would fit is refused.
"""

from __future__ import annotations

import codecs
from typing import Final

from app.errors import DocumentRejected
from app.text.rejection import called

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_SAMPLE_BYTES: Final = 65_536
_ZEROS: Final = 0.3  # of the high bytes of UTF-16 are zero in every text with some Latin letters, digits or spaces
_GOOD_FOR_EACH_BAD: Final = 3  # valid UTF-8 sequences for each invalid byte; no other encoding produces so many by chance
_MOSTLY: Final = 0.5  # share of letters outside ASCII; no language in Latin letters has so many
_SURELY_CYRILLIC: Final = 0.65  # Russian prose has 0.8; Chinese bytes read as Cyrillic have less than 0.5
_COMMON_CYRILLIC: Final = frozenset("оеаинтсрвлкмдпу")
_CYRILLIC: Final = ("cp1251", "koi8-r", "cp866", "iso8859-5")
_DOUBLE_BYTE: Final = ("euc_jp", "shift_jis", "euc_kr", "gb2312", "big5", "gb18030")


def decode_text(body: bytes, filename: str | None) -> str:
    """The text. Raises `DocumentRejected` when no encoding is likely enough."""
    for bom, encoding in _BOMS:
        if body.startswith(bom):
            return body.decode(encoding, errors="replace")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = _guessed(body)
    else:
        if "\0" in text[:_SAMPLE_BYTES] and (wide := wide_encoding(body)):
            text = body.decode(wide, errors="replace")
    if not text and body:
        raise DocumentRejected(f"{called(filename)} has a character encoding that cannot be told: save it as UTF-8.")
    return text


def wide_encoding(head: bytes) -> str | None:
    """`utf-16-le` or `utf-16-be` when the positions of zero bytes indicate UTF-16 without a byte order mark; else None."""
    sample = head[: min(len(head), 4096) // 2 * 2]
    if len(sample) < 4:
        return None
    half = len(sample) / 2
    even, odd = sample[::2].count(0) / half, sample[1::2].count(0) / half
    if odd >= _ZEROS and even < odd / 10:
        return "utf-16-le"
    if even >= _ZEROS and odd < even / 10:
        return "utf-16-be"
    return None


def _guessed(body: bytes) -> str:
    """The text in the most likely encoding; empty when none is likely."""
    if wide := wide_encoding(body):
        return body.decode(wide, errors="replace")
    nearly = body.decode("utf-8", errors="replace")
    bad = nearly.count("\ufffd")
    good = sum(ord(character) > 127 for character in nearly[:_SAMPLE_BYTES]) - nearly[:_SAMPLE_BYTES].count("\ufffd")
    if good >= _GOOD_FOR_EACH_BAD * min(bad, nearly[:_SAMPLE_BYTES].count("\ufffd")) and good > 0:
        return nearly
    sample = body[:_SAMPLE_BYTES]
    high = sum(byte > 127 for byte in sample)
    letters = high + sum(65 <= byte <= 90 or 97 <= byte <= 122 for byte in sample)
    encoding = _foreign(body) if high >= _MOSTLY * letters else _western(body)
    return body.decode(encoding, errors="replace") if encoding else ""


def _western(body: bytes) -> str | None:
    """The likely encoding of a text that is mostly ASCII letters, or None. cp1252 is preferred to rarer code pages; Japanese or
    Chinese text with much ASCII is recognised by its byte pairs."""
    if double := _double_byte(body):
        return double
    try:
        text = body[:_SAMPLE_BYTES].decode("cp1252")
    except UnicodeDecodeError:
        return _detected(body)
    odd = sum(text[place - 1].isalpha() and text[place + 1 : place + 2].isalpha() and not (character.isalpha() or character in "’'-­·")
              for place, character in enumerate(text) if place and ord(character) > 127)  # fmt: skip
    high = sum(ord(character) > 127 for character in text)
    return "cp1252" if odd * 2 <= high else _detected(body)


def _foreign(body: bytes) -> str | None:
    scores = sorted(((_cyrillic(body, encoding), encoding) for encoding in _CYRILLIC), reverse=True)
    (best, encoding), (second, _) = scores[:2]
    if best >= _SURELY_CYRILLIC and best - second >= 0.1:
        return encoding
    return _double_byte(body) or _detected(body)


def _cyrillic(body: bytes, encoding: str) -> float:
    """How well `encoding` turns the text into Cyrillic, in [0, 1]: the mean of the share of
    lower-case letters and that of common letters."""
    try:
        text = body[:_SAMPLE_BYTES].decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    foreign = [character for character in text if ord(character) > 127]
    small = sum("а" <= character <= "я" or character == "ё" for character in foreign)
    common = sum(character in _COMMON_CYRILLIC for character in foreign)
    return (small + common) / (2 * len(foreign)) if foreign else 0.0


def _double_byte(body: bytes) -> str | None:
    """The encoding that turns nearly everything outside ASCII into kana, Hangul or common Han; None when none or several do."""
    fitting = {}
    for encoding in _DOUBLE_BYTE:
        try:
            text = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        foreign = [character for character in text if ord(character) > 127]
        kana = sum("\u3040" <= character <= "\u30ff" for character in foreign)
        hangul = sum("\uac00" <= character <= "\ud7a3" for character in foreign)
        han = sum("\u4e00" <= character <= "\u9fff" for character in foreign)
        everyday = sum(_everyday(character, encoding) for character in foreign)
        plausible = {
            "euc_jp": kana >= 0.25 * len(foreign) and kana + han >= 0.8 * len(foreign),
            "shift_jis": kana >= 0.25 * len(foreign) and kana + han >= 0.8 * len(foreign),
            "euc_kr": hangul >= 0.9 * len(foreign) and everyday >= 0.9 * len(foreign),
        }.get(encoding, han >= 0.75 * len(foreign) and everyday >= 0.75 * len(foreign))
        if plausible and len(foreign) >= 4:
            fitting[encoding] = kana
    for japanese in ("euc_jp", "shift_jis"):
        if japanese in fitting:
            return japanese
    if "gb2312" in fitting:
        fitting.pop("gb18030", None)  # its superset
    return next(iter(fitting)) if len(fitting) == 1 else None


def _everyday(character: str, encoding: str) -> bool:
    """Whether the character is in the encoding's range of common characters, or is punctuation of the script."""
    if "\u3000" <= character <= "\u303f" or "\uff00" <= character <= "\uffef":
        return True
    try:
        first = character.encode(encoding)[0]
    except UnicodeEncodeError:
        return False
    low, most = {"big5": (0xA4, 0xC6), "euc_kr": (0xB0, 0xC8)}.get(encoding, (0xB0, 0xD7))
    return low <= first <= most


def _detected(body: bytes) -> str | None:
    """The encoding that charset-normalizer detects, for scripts that no rule above covers; None when it is not certain."""
    from charset_normalizer import from_bytes

    best = from_bytes(body[:_SAMPLE_BYTES]).best()
    if best is None or best.chaos > 0.05 or best.coherence < 0.5:
        return None
    encoding: str = best.encoding
    return encoding
