"""No input makes the service's regular expressions, readers or cutters take more than time in proportion to its size.

The patterns are found in the source itself, so a new one is tested from the day it is written.
"""

from __future__ import annotations

import ast
import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from functools import cache
from types import SimpleNamespace
from typing import Final, cast

import pytest
from pydantic import ValidationError

from app.answering.cite import Sentences
from app.answering.deadline import MOST_CHARACTERS, until_deadline
from app.answering.follow_up import MOST_TURN_CHARACTERS, MOST_TURNS
from app.errors import DocumentRejected, InvalidRequest, ModelUnavailable
from app.http.dependencies import Service
from app.http.routes.search import check_limits
from app.http.schemas import AskIn
from app.settings import Settings
from app.text.chunk import chunk
from app.text.encoding import decode_text
from app.text.formats import FORMATS
from app.text.formats.pdf import join_pages
from app.text.parse import parse
from tests.services.patterns import product_patterns, unknown, written_patterns

HOSTILE: Final = {
    "spaces": " ", "tabs": "\t", "no-break spaces": "\u00a0", "line ends": "\n", "lines of spaces": "  \n", "hashes": "#",
    "headings": "# ", "brackets": "[", "closed brackets": "]", "round brackets": "(", "angles": "<", "tags": "<a ", "backquotes": "`",
    "fences": "```\n", "quotes": '"', "quoted ends": '."', "dots": ".", "dotted": "a.", "ends": ". ", "dashes": "-", "hyphens": "a-",
    "rules": "-\n", "underscores": "_", "letters": "a", "capitals": "aB", "digits": "1", "words": "ab ", "cells": "|", "rows": "|-|\n",
    "items": "- a\n", "keys": "a: b\n", "pictures": "![", "links": "[](", "stars": "*", "backslashes": "\\", "citations": "[1] ",
    "commas": 'a,"', "entities": "&#", "marks": "\u0301", "han": "\u4e00", "thai": "\u0e01\u0e31", "front": "---\n", "colons": ":", "roles": ":a:`", "equals": "=", "slashes": "/", "dates": "2026-11-29T",
}  # fmt: skip
TAILS: Final = ("x", "\n!")
HEADS: Final = (
    "[source",
    "(quelle:",
    "【1",
    "[1,",
    ". [",
    "```",
    "|",
    "bearer ",
    "password",
    "errors >",
    "[a",
    "CREATE TABLE ",
)  # begin what the rest does not end
MEGABYTE: Final = 1_000_000
SLOWEST: Final = 4  # of some fifty hostile texts, for each pattern; all of them at 10 MB took six minutes


PATTERNS: Final = product_patterns()


def taken(pattern: re.Pattern[str] | re.Pattern[bytes], text: str) -> float:
    """CPU seconds to look for the pattern from every place of the text and find nothing more, whatever it found."""
    subject: str | bytes = text.encode() if isinstance(pattern.pattern, bytes) else text
    began = time.process_time()
    pattern.fullmatch(subject)  # type: ignore[arg-type]
    for number, _ in enumerate(pattern.finditer(subject)):  # type: ignore[arg-type]
        if number >= 100_000:  # finding is paid for by what is found; it is looking in vain that explodes
            break
    return time.process_time() - began


def test_the_patterns_are_found() -> None:
    assert len(PATTERNS) > 150
    for where in (
        "app/answering/cite.py:", "app/text/blocks.py:", "teal/terminal/writer.py:", "loadtests/calls.py:", "contract/pods.py:",
        "app/answering/cite.py:_MARK:",  # put together from pieces
        "app/catalog/expanding.py:FORBIDDEN:",  # held by an object in a tuple
        "app/answering/answer_type.py:_MEASURES:",  # in a tuple of tuples
        "app/answering/extract.py:without_word:",  # made while a question is read
        "teal/laptop/causes.py:explain:",  # kept as a word in a table
        "app/web/markdown.js:",  # what runs in the browser
    ):  # fmt: skip
        assert any(one.startswith(where) for one in PATTERNS), where


def test_no_pattern_of_the_product_is_left_out() -> None:
    """A call whose pattern is put together while it runs needs its longest form in `tests/services/patterns.py`; other engines than `re` are
    those of pydantic (linear by construction, unless it is told to use Python's) and of no library besides."""
    assert unknown() == []


def test_patterns_on_one_line_are_all_found() -> None:
    line = "import re\nfound = re.sub(r'a', '', re.sub(r'b', '', text)) or re.match(r'c', text)"
    assert {one.pattern for one in dict(written_patterns("file.py", ast.parse(line))).values()} == {"a", "b", "c"}


@cache
def most_seconds_for_20_kb() -> float:
    """Two thirds of what a pattern that goes back takes on this machine: 0.44 s on a slow one, where the slowest of ours took 0.13."""
    return taken(re.compile(r"[ \t]+\n"), " " * 20_000 + "x") * 2 / 3


def test_a_pattern_that_backtracks_would_be_found() -> None:
    assert taken(re.compile(r"[ \t]+\r"), " " * 20_000 + "x") > most_seconds_for_20_kb()


@pytest.mark.parametrize("where", PATTERNS)
def test_no_regular_expression_backtracks(where: str) -> None:
    for name, unit in HOSTILE.items():
        for tail in TAILS:
            text = (
                unit * (20_000 // len(unit)) + tail
            )  # what is quadratic takes seconds at this size, what is linear microseconds
            seconds = taken(PATTERNS[where], text)
            assert seconds < most_seconds_for_20_kb(), f"{PATTERNS[where].pattern!r} took {seconds:.2f} s for 20 KB of {name}"
    for head in HEADS:
        for name in ("spaces", "line ends", "digits", "letters", "commas"):
            seconds = taken(PATTERNS[where], head + HOSTILE[name] * (20_000 // len(HOSTILE[name])) + "x")
            assert seconds < most_seconds_for_20_kb(), f"{PATTERNS[where].pattern!r} took {seconds:.2f} s for {head!r} and {name}"


# Bytes of a document are read by `app`. What its page, the operator's command and load tests look at is an answer, a command's output, a line of
# a log or a file of the operator's own. What answers look at is short whatever anybody sends, which the tests at the end of this file hold: a question has 2,000 characters, what was
# said before it 8,000, a title 500, a passage LONGEST_PASSAGE, and all that a model says 100,000.
READS_FILES: Final = [
    where
    for where, pattern in PATTERNS.items()
    if where.startswith("app/")
    and not where.startswith(("app/answering/", "app/web/"))
    # The ends of sentences are looked for in the last eight characters (`_ABBREVIATION_CHARACTERS`), and in nothing longer.
    and not (where.startswith("app/text/sentences.py:") and pattern.pattern.endswith(("$", "\\Z")))
]


@cache
def most_seconds_for_10_mb() -> float:
    """Forty times what a simple pattern takes on this machine: 5.2 s on a slow one, where the slowest of ours took 1.5. One that goes back takes hours."""
    return 40 * min(taken(re.compile(r"[\w.]+"), "a" * 10 * MEGABYTE + "\n!") for _ in range(3))


@pytest.mark.long
@pytest.mark.parametrize("where", READS_FILES)
def test_ten_megabytes_take_a_regular_expression_a_few_seconds_at_most(where: str) -> None:
    """Ten megabytes of the texts that take it longest at a hundredth of that: what goes back shows at 20 KB already, above."""
    tenth = {name: taken(PATTERNS[where], unit * (MEGABYTE // 10 // len(unit)) + "\n!") for name, unit in HOSTILE.items()}
    for name in sorted(tenth, key=tenth.__getitem__)[-SLOWEST:]:
        text = HOSTILE[name] * (10 * MEGABYTE // len(HOSTILE[name])) + "\n!"
        seconds = taken(PATTERNS[where], text)
        if seconds >= most_seconds_for_10_mb():  # once more: a machine that other work slows down is no pattern that goes back
            seconds = min(seconds, taken(PATTERNS[where], text), taken(PATTERNS[where], text))
        assert seconds < most_seconds_for_10_mb(), f"{PATTERNS[where].pattern!r} took {seconds:.2f} s for 10 MB of {name}"


SECONDS_FOR_A_SHORT_TEXT: Final = 1.0
READS_SHORT: Final = [where for where in PATTERNS if where not in READS_FILES]


@pytest.mark.long
@pytest.mark.parametrize("where", READS_SHORT)
def test_the_longest_text_that_answers_look_at_takes_no_time(where: str) -> None:
    """Twenty-five times what the 20 KB above take, where a pattern goes back: ten megabytes never come here."""
    for name in ("letters", "digits", "words", "dotted", *WHOLE):
        unit = HOSTILE[name]
        seconds = taken(PATTERNS[where], unit * (MOST_CHARACTERS // len(unit)) + "\n!")
        assert seconds < SECONDS_FOR_A_SHORT_TEXT, f"{PATTERNS[where].pattern!r} took {seconds:.2f} s for 100 KB of {name}"


LONGEST_PASSAGE: Final = 20_000


@pytest.mark.parametrize("name", HOSTILE)
def test_a_passage_is_short_whatever_is_cut(name: str) -> None:
    settings = Settings()
    for tail in TAILS:
        passages = chunk(
            HOSTILE[name] * (100_000 // len(HOSTILE[name])) + tail,
            target_tokens=settings.passage_tokens, overlap_tokens=settings.passage_overlap_tokens,
        )  # fmt: skip
        assert max(len(one.context) + len(one.text) for one in passages) <= LONGEST_PASSAGE, name


def test_a_question_and_what_was_said_before_it_are_short() -> None:
    for body in (
        {"question": "x", "history": [{"role": "user", "content": "x" * (MOST_TURN_CHARACTERS + 1)}]},
        {"question": "x", "history": [{"role": "user", "content": "x"}] * (MOST_TURNS + 1)},
    ):
        with pytest.raises(ValidationError, match="at most"):
            AskIn.model_validate(body)
    service = cast("Service", SimpleNamespace(settings=Settings()))
    with pytest.raises(InvalidRequest, match="the limit is 2000"):
        check_limits(service, "x" * 2_001, 1)


def test_a_model_that_does_not_stop_is_cut_off() -> None:
    said = list[str]()

    async def endless() -> AsyncGenerator[str, None]:
        while True:
            yield "word " * 200

    async def listen() -> None:
        async for piece in until_deadline(endless(), 60.0):
            said.append(piece)

    with pytest.raises(ModelUnavailable, match=f"more than {MOST_CHARACTERS} characters"):
        asyncio.run(listen())
    assert sum(map(len, said)) <= MOST_CHARACTERS


STREAMS: Final = {
    "an open block of code": ("```\n", "x = 1. "),
    "an open block of lines": ("```\n", "x\n"),
    "an open row": ("|", "a. "),
}
CHARACTERS_OF_A_TOKEN: Final = 4


@pytest.mark.parametrize("name", [*STREAMS, *HOSTILE])
def test_cutting_a_stream_into_sentences_takes_time_in_proportion(name: str) -> None:
    """All that a model may say, in pieces as small as tokens and in one piece."""
    head, unit = STREAMS.get(name, ("", HOSTILE.get(name, "")))
    text = head + unit * (MOST_CHARACTERS // len(unit))
    for size in (CHARACTERS_OF_A_TOKEN, len(text)):
        cutter = Sentences()
        began = time.process_time()
        for place in range(0, len(text), size):
            cutter.feed(text[place : place + size])
        cutter.last("")
        assert time.process_time() - began < SECONDS_FOR_100_KB


SECONDS_FOR_100_KB: Final = (
    1.5  # what is linear takes a tenth of it, on one core that others use too; what is quadratic takes minutes
)
WHOLE: Final = (
    "spaces",
    "line ends",
    "lines of spaces",
    "headings",
    "brackets",
    "angles",
    "fences",
    "quoted ends",
    "dots",
    "rows",
    "keys",
    "pictures",
    "commas",
)


def seconds_for(work: Callable[[str], object], unit: str) -> float:
    body = unit * (100_000 // len(unit.encode())) + "x"
    began = time.process_time()
    with suppress(DocumentRejected):
        work(body)
    return time.process_time() - began


@pytest.mark.parametrize("name", HOSTILE)
def test_cutting_takes_time_in_proportion(name: str) -> None:
    assert seconds_for(lambda text: chunk(text, target_tokens=180, overlap_tokens=30), HOSTILE[name]) < SECONDS_FOR_100_KB


@pytest.mark.parametrize("media_type", [one.media_type for one in FORMATS if one.text])
def test_reading_takes_time_in_proportion(media_type: str) -> None:
    for name in WHOLE:
        assert seconds_for(lambda text: parse(text.encode(), media_type, None), HOSTILE[name]) < SECONDS_FOR_100_KB, name


def test_lines_of_a_pdf_and_unknown_encodings_take_time_in_proportion() -> None:
    for name in WHOLE:
        assert seconds_for(lambda text: join_pages([text.split("\n")] * 2), HOSTILE[name]) < SECONDS_FOR_100_KB, name
        assert seconds_for(lambda text: decode_text(text.encode() + b"\xe9", None), HOSTILE[name]) < SECONDS_FOR_100_KB, name
