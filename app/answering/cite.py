"""Splits a language model's stream into sentences, and reads their citations in the various forms that models write."""

from __future__ import annotations

import re
from typing import Final

from app.text.sentences import ends_in_abbreviation

_GAP: Final = r"\s{0,9}"  # white space within a citation; bounded, so that long runs of spaces cause no backtracking
_NAME: Final = rf"(?:(?:sources?|src|docs?|documents?|passages?|refs?|references?|citations?|quellen?|fuentes?|источник|来源|出典){_GAP}[:#]?{_GAP})?"
_NUMBERS: Final = rf"\^?{_NAME}\^?\d{{1,3}}(?:{_GAP}(?:,|;|&|and|und|-|–|—){_GAP}\^?{_NAME}\d{{1,3}}){{0,9}}"
# [1] [1, 2] [1-2] [^1] [Source 1] [[1]] (Source 1) 【1】 【1†source】
_MARK_TEXT: Final = rf"(?i:\[\[?{_GAP}{_NUMBERS}{_GAP}\]\]?|【{_GAP}{_NUMBERS}(?:[†:][^】\n]{{0,40}})?{_GAP}】|\((?:sources?|quellen?|来源){_GAP}{_NUMBERS}\))"
_MARK: Final = re.compile(_MARK_TEXT)
_RANGE: Final = re.compile(r"(\d{1,3})\s*[-–—]\s*\^?(?:[^\W\d]+\s*)?(\d{1,3})")
# A sentence ends at . ! or ? together with the citations after it, if white space follows and then no small letter ("e.g. this"
# does not end one); or at a line break.
_END: Final = re.compile(rf"[.!?][\"')\]*_]*(?:\s*{_MARK_TEXT})*(?=\s+[^a-z\s])|[。！？][\"”」』）]*(?:\s*{_MARK_TEXT})*|\n+")
_INCOMPLETE_MARKS: Final = re.compile(rf"\s*(?:{_MARK_TEXT}\s*)*(?:\[[^\]\n]{{0,24}}|【[^】\n]{{0,48}}|\((?:[sq][^)\n]{{0,24}})?)?", re.IGNORECASE)  # fmt: skip
_FENCE: Final = re.compile(r"`{3,20}|~{3,20}")
_BLANK: Final = re.compile(r"\s*+")
_INDENT: Final = re.compile(r"[ \t]*+")
_ALWAYS_CHARACTERS: Final = 400  # held text up to this length, longer than most sentences, is searched with each piece
_GROWN_BY: Final = 8  # one part in eight: in a longer sentence the reader waits for at most this much more


class Sentences:
    """Cuts a stream of text into whole sentences, keeping trailing citations with their sentence. A table row and
    a code block count as one sentence each.

    The held text is searched for a sentence end with each piece while it is short, and later only when it has grown by an eighth.
    So the total time is proportional to the stream's length, whatever a model writes and however the stream is cut into pieces.

    `ends`: where in the stream, in characters, each sentence of the last call ends.
    """

    def __init__(self) -> None:
        self.ends: list[int] = []
        self._taken = 0  # characters of the stream before the held text
        self._held = ""
        self._new: list[str] = []
        self._new_characters = 0

    def feed(self, text: str) -> list[str]:
        """Add `text`; returns the sentences that are now complete."""
        self._new.append(text)
        self._new_characters += len(text)
        held = len(self._held)
        if held > _ALWAYS_CHARACTERS and self._new_characters * _GROWN_BY < held:
            self.ends = []
            return []
        return self._whole()

    def last(self, text: str) -> list[str]:
        """End the stream with `text`; returns the remaining sentences, the last of which may be incomplete."""
        self._new.append(text)
        whole, rest, self._held = self._whole(), self._held, ""
        self._taken += len(rest)
        self.ends += [self._taken] if rest else []
        return [*whole, rest] if rest else whole

    def _whole(self) -> list[str]:
        held, start, found = self._held + "".join(self._new), 0, list[str]()
        self.ends = []
        while (cut := _cut(held, start)) is not None:
            if (sentence := held[start:cut]).strip():
                found.append(sentence)
                self.ends.append(self._taken + cut)
            start = cut
        self._taken += start
        self._held, self._new, self._new_characters = held[start:], [], 0
        return found


def _cut(held: str, start: int) -> int | None:
    """The offset at which the sentence that begins at `start` ends; None when it has not ended yet. Nothing is copied, so that
    many sentences in one piece cost no more."""
    words = _after(_BLANK, held, start)
    if fence := _FENCE.match(held, words):
        closed = re.compile(rf"\n[ \t]*{re.escape(fence[0])}[^\n]*\n+").search(held, fence.end())
        return closed.end() if closed else None
    row = held.startswith("|", words)
    for found in _END.finditer(held, start):
        if found.group()[0] != "\n" and row:
            continue
        # A citation may follow in the next token ("... word. [1]"), so wait until some other text has arrived.
        if _INCOMPLETE_MARKS.fullmatch(held, found.end()):
            return None
        if not _MARK.search(found.group()) and ends_in_abbreviation(held[max(start, found.end() - 16) : found.end()]):
            continue
        if found.group()[0] == "\n" or _MARK.match(held, _after(_BLANK, held, found.end())) is None:
            return _with_line_end(held, found.end())
    return None


def _with_line_end(text: str, place: int) -> int:
    """`place`; but if the line ends there and the next line has already begun, the offset of that line's first word."""
    words = _after(_BLANK, text, place)
    return words if words < len(text) and text.startswith("\n", _after(_INDENT, text, place), words) else place


def _after(blank: re.Pattern[str], text: str, place: int) -> int:
    """The offset of the first character after `place` that is not blank. The other patterns do not begin with blanks, because
    searching for such a pattern at every position would be quadratic."""
    found = blank.match(text, place)
    return found.end() if found else place


def canonical(sentence: str, sources: int) -> str:
    """The sentence with every citation in the form [n]; citations of sources that do not exist are removed. Code is unchanged."""
    if is_code(sentence):
        return sentence
    parts = re.split(r"(`[^`\n]*`)", sentence)
    for place in range(0, len(parts), 2):
        parts[place] = _MARK.sub(lambda found: "".join(f"[{n}]" for n in _named(found.group(), sources)), parts[place])
    return "".join(parts)


def cited(sentence: str, sources: int) -> list[int]:
    """The valid source numbers that a sentence cites, in order and without duplicates."""
    if is_code(sentence):
        return []
    prose = re.sub(r"`[^`\n]*`", " ", sentence)
    return list(dict.fromkeys(n for found in _MARK.finditer(prose) for n in _named(found.group(), sources)))


def without_marks(sentence: str) -> str:
    """The sentence without its citations."""
    return sentence if is_code(sentence) else _MARK.sub("", sentence)


def is_code(sentence: str) -> bool:
    """Whether the sentence is a block of code."""
    return _FENCE.match(sentence, _after(_BLANK, sentence, 0)) is not None


def _named(mark: str, sources: int) -> list[int]:
    spread = _RANGE.sub(lambda found: " ".join(map(str, range(int(found[1]), min(int(found[2]), sources) + 1))), mark)
    spread = spread.split("†")[0]
    return [n for n in map(int, re.findall(r"\d{1,3}", spread)) if 1 <= n <= sources]
