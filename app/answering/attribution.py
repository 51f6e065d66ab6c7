"""Attributes each sentence of a language model to its sources, and drops the ones that their sources do not support."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from app.answering.cite import canonical, cited, is_code, without_marks
from app.answering.function_words import FUNCTION_WORDS
from app.answering.numbers import holds_numbers
from app.answering.prompt import PromptSource
from app.answering.question import words_of
from app.text.analysis import query_words

# The share of a sentence's terms that a source must contain, for a citation at the end of the
# paragraph to apply to the sentence too.
_SUPPORT: Final = 0.6
_FEWEST_TERMS: Final = 3  # in a sentence that is accepted by the citation of another sentence
_HEAD_WORDS: Final = 4  # the most in a cell of a table's head; a head needs no citation
_AFTER_THE_END: Final = re.compile(r"[.!?。！？][\"')\]]*\s*(?:\[\d{1,3}\]\s*)+$")
_DOES_NOT_KNOW: Final = re.compile(
    r"\A\W*+(?:(?:i'm |i am )?sorry\W+|unfortunately\W+)?(?:(?:but )?(?:i|we) (?:do not|don['’]t|cannot|can['’]t|could not|couldn['’]t) (?:know|answer|find|tell|determine)\b"
    r"|(?:the|these|those)? ?(?:given |provided |available )?(?:sources?|documents?|passages?|context|texts?) (?:i can see )?(?:do|does) not\b"
    r"|(?:there is )?no (?:information|mention|source|answer)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer with its sources; a sentence without sources will be dropped. `conflicting`: it is one of
    several statements that cannot all be right."""

    text: str
    sources: tuple[int, ...]
    conflicting: bool = False


class Attribution:
    """Turns sentences into claims, in order. A sentence without a citation waits for the citation at the end of its paragraph."""

    def __init__(self, sources: Sequence[PromptSource]) -> None:
        self._texts = {source.n: f"{source.title}\n{source.date_words}\n{source.text}" for source in sources}
        self._waiting: list[str] = []
        self._last: tuple[int, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether a sentence waits for the citation at the end of its paragraph."""
        return bool(self._waiting)

    def feed(self, sentence: str) -> Iterator[Claim]:
        """Add a sentence; yields the claims that are now final."""
        text = canonical(sentence, len(self._texts))
        numbers = tuple(cited(text, len(self._texts)))
        if numbers:
            behind = _AFTER_THE_END.search(text.rstrip()) is not None or not without_marks(text).strip()
            for waiting in self._waiting:
                yield self._believed(waiting, numbers, behind=behind)
            self._waiting = []
            self._last = numbers
            yield self._checked(text, numbers)
        elif is_code(text) and self._last:
            yield self._believed(text, self._last, behind=True)
        elif text.strip():
            self._waiting.append(text)
        if _ends_paragraph(sentence) and not (self._waiting and _goes_on(self._waiting[-1])):
            yield from self.rest()
            self._last = self._last if is_code(text) or text.rstrip().endswith(":") else ()

    def rest(self) -> Iterator[Claim]:
        """Yield the sentences that still wait, as claims without sources: no citation came for them."""
        for text in self._waiting:
            yield Claim(text, ())
        self._waiting = []

    def _checked(self, text: str, numbers: tuple[int, ...]) -> Claim:
        bare = without_marks(text)
        if _DOES_NOT_KNOW.match(bare):
            return Claim("", ())
        believed = holds_numbers(bare, "\n".join(self._texts[n] for n in numbers))
        return Claim(text, numbers if believed else ())

    def _believed(self, text: str, numbers: tuple[int, ...], *, behind: bool) -> Claim:
        """The claim of a sentence that relies on another sentence's citation. It has no sources if they do not support it.
        `behind`: the citation is after the full stop, and so is meant for the whole paragraph."""
        if _is_table_head(text):
            return Claim(text, numbers)
        passage = "\n".join(self._texts[n] for n in numbers)
        terms = {term for word, term in query_words(text) if word.lower() not in FUNCTION_WORDS["en"]}
        held = len(terms & words_of(passage).terms)
        enough = len(terms) >= (1 if behind or _goes_on(text) else _FEWEST_TERMS)
        return Claim(text, numbers if enough and held >= _SUPPORT * len(terms) and holds_numbers(text, passage) else ())


def _ends_paragraph(sentence: str) -> bool:
    return sentence[len(sentence.rstrip()) :].count("\n") > 1


def _goes_on(text: str) -> bool:
    """Whether a sentence belongs to the text after it: a line before a list, a table row, or code."""
    return text.rstrip().endswith((":", "：", "|")) or is_code(text)


def _is_table_head(text: str) -> bool:
    line = text.strip()
    return line.startswith("|") and all(len(cell.split()) <= _HEAD_WORDS and not any(map(str.isdigit, cell)) for cell in line.split("|"))  # fmt: skip
