"""Decodes bytes to text: first by a byte order mark, then as UTF-8, then by the encoding that chardet's models of languages
make likely (docs/decisions/0010-reading-documents.md).

A wrong guess is worse than a refusal, because no search would find the text. So a short text
that several encodings would fit is refused.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Final

from app.errors import DocumentRejected
from app.text.rejection import called

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_ISO_2022_JP: Final = (b"\x1b$B", b"\x1b$@")  # how Japanese begins in old e-mail, which is ASCII to every other decoder
_SAMPLE_BYTES: Final = 65_536
_ZEROS: Final = 0.3  # of the high bytes of UTF-16 are zero in every text with some Latin letters, digits or spaces
_GOOD_FOR_EACH_BAD: Final = 3  # valid UTF-8 sequences for each invalid byte; no other encoding produces so many by chance
_MOSTLY: Final = 0.5  # share of letters outside ASCII; no language in Latin letters has so many
# Code pages of Latin letters, and of the other scripts: which of the two a text needs is told by its share of letters outside ASCII.
# chardet knows a hundred encodings, of which it would take some that nobody writes for a short text.
_LATIN: Final = ("cp1252", "iso8859-15", "cp1250", "iso8859-2", "cp1254", "iso8859-9", "cp1257")
_LATIN_OF_OLD: Final = ("mac-roman", "cp850")  # of old Macs and of DOS, only where cp1252's reading is odd
_OTHER: Final = (
    "cp1251", "koi8-r", "koi8-u", "cp866", "iso8859-5", "mac-cyrillic", "cp1253", "iso8859-7", "cp1255", "iso8859-8",
    "cp1256", "iso8859-6", "cp874", "shift-jis", "cp932", "euc-jp", "euc-kr", "cp949", "gb18030", "big5",
)  # fmt: skip
# chardet's confidence. Of 143 sentences in 26 languages and their encodings, wrong guesses had at most 0.05, right ones at
# least 0.18 in other scripts; in Latin letters single words had less than 0.02, and a rarer code page was guessed wrongly for some.
_SURE: Final = 0.1
_SURE_LATIN: Final = 0.02
_CLEARLY: Final = 1.2  # times cp1252's confidence; Czech, Hungarian and Turkish sentences had 1.3 and more
_ODD: Final = 0.2
_NOBODY_WRITES: Final = b"\xa4"  # cp1252's sign for any currency; the euro sign of ISO 8859-15
_JAPANESE: Final = ("euc_jp", "cp932")
_FEW: Final = 4  # bytes outside ASCII, or characters of Japanese; fewer fit many encodings


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
        if any(mark in body for mark in _ISO_2022_JP):
            text = body.decode("iso2022_jp_2", errors="replace")
        elif "\0" in text[:_SAMPLE_BYTES] and (wide := wide_encoding(body)):
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
    foreign = _foreign_words(sample)
    high = sum(byte > 127 for byte in foreign)
    letters = high + sum(65 <= byte <= 90 or 97 <= byte <= 122 for byte in foreign)
    encoding = _other(foreign) if high >= max(_FEW, _MOSTLY * letters) else _latin(sample, foreign)
    return body.decode(encoding, errors="replace") if encoding else ""


def _foreign_words(sample: bytes) -> bytes:
    """The words with bytes outside ASCII, which alone tell the script, because a text about programs may be half English. A sign
    beside no letter tells nothing: a dash, the sign of a currency."""
    words = (word for word in sample.split() if not word.isascii())
    return b" ".join(word for word in words if any(65 <= byte <= 122 for byte in word) or sum(byte > 127 for byte in word) > 1)


def _other(words: bytes) -> str | None:
    """The encoding of words that are not in Latin letters, or None."""
    if japanese := _japanese(words):
        return japanese
    encoding, confidence = next(iter(_ranked(words, _OTHER).items()), ("", 0.0))
    return encoding if confidence > _SURE else None


def _latin(sample: bytes, foreign: bytes) -> str | None:
    """The encoding of a text in Latin letters, or None. cp1252 comes before rarer code pages: another one must be clearly likelier,
    or cp1252's reading odd. It is also what signs alone are read in."""
    if _NOBODY_WRITES in sample and all(byte < 0x80 or byte >= 0xA0 for byte in sample):
        return "iso8859-15"
    odd = _oddness(sample)
    if foreign:
        ranked = _ranked(sample, _LATIN if odd < _ODD else (*_LATIN, *_LATIN_OF_OLD))
        encoding, confidence = max(ranked.items(), key=lambda one: one[1], default=("", 0.0))
        usual = max(ranked.get("cp1252", 0.0), ranked.get("iso8859-15", 0.0))
        if confidence > _SURE_LATIN and (odd >= _ODD or confidence >= _CLEARLY * usual):
            return encoding
    return "cp1252" if odd <= _MOSTLY else None


def _oddness(sample: bytes) -> float:
    """The share of cp1252's characters outside ASCII that nobody writes where they stand: a sign between two letters, or a capital
    after a small letter. 1 if the text is not cp1252 at all."""
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return 1.0
    places = [place for place, character in enumerate(text) if ord(character) > 127]
    odd = 0
    for place in places:
        before, character, after = text[place - 1 : place], text[place], text[place + 1 : place + 2]
        sign = not character.isalpha() and character not in "’'-\u00ad·"
        odd += (sign and before.isalpha() and after.isalpha()) or (character.isupper() and before.islower())
    return odd / len(places) if places else 0.0


def _japanese(words: bytes) -> str | None:
    """The Japanese encoding that turns nearly everything into kana and Han, with at least a quarter of kana; None when none does.
    Short Japanese would otherwise be taken for Chinese."""
    for encoding in _JAPANESE:
        try:
            text = words.decode(encoding)
        except UnicodeDecodeError:
            continue
        foreign = [character for character in text if ord(character) > 127]
        kana = sum("\u3040" <= character <= "\u30ff" for character in foreign)
        han = sum("\u4e00" <= character <= "\u9fff" for character in foreign)
        if len(foreign) >= _FEW and kana >= 0.25 * len(foreign) and kana + han >= 0.8 * len(foreign):
            return encoding
    return None


def _ranked(sample: bytes, encodings: Sequence[str]) -> dict[str, float]:
    """chardet's confidence in each of these encodings that can be it, the likeliest first."""
    import chardet

    found = chardet.detect_all(
        sample,
        ignore_threshold=True,
        include_encodings=encodings,
        no_match_encoding=encodings[0],
        compat_names=False,
        prefer_superset=False,
    )
    return {one["encoding"]: one["confidence"] for one in found if one["encoding"]}
