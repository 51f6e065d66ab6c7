"""E-mails as sources: tells the sender's own words from quoted earlier messages, and recognises the header lines of a message."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from app.answering.prompt import PromptSource
from app.text.blocks import TextBlock, blocks

_QUOTE_MARK: Final = re.compile(r"\A\s{0,3}>[>\s]{0,8}")
_MAIL_HEAD: Final = re.compile(r"\A(?:Subject|From|To|Cc|Date): ")
_LONGEST_ANNOUNCED: Final = 160  # characters
_EARLIER: Final = "An earlier message:"  # stands for the unknown author when a passage begins inside a quoted message


def told_by(source: PromptSource) -> Iterator[tuple[TextBlock, str]]:
    """(block, introduction) for each block of a passage. Quoted blocks lose their quotation marks, and their
    introduction is the line that says who wrote them; for other blocks it is "". The distinction matters because
    an e-mail may correct what it quotes."""
    announced = ""
    for block in blocks(source.text):
        lines = block.text.split("\n")
        if block.kind not in ("paragraph", "item") or not any(map(_QUOTE_MARK.match, lines)):
            announced = _announcing(lines) if block.kind == "paragraph" else ""
            yield block, ""
            continue
        for quoted, run in groupby(lines, lambda line: _QUOTE_MARK.match(line) is not None):
            text = list(run)
            if quoted:
                said_by = announced or (_EARLIER if is_mail(source) else "")
                yield from ((one, said_by) for one in blocks("\n".join(_QUOTE_MARK.sub("", line) for line in text)))
            elif announced := _announcing(text):
                text = text[: -1 - announced.count("\n")]
            if not quoted and text:
                yield replace(block, text="\n".join(text)), ""


def is_mail(source: PromptSource) -> bool:
    """Whether the passage belongs to an e-mail: its document begins with a message header."""
    return is_mail_head(source.lead)


def is_mail_head(text: str) -> bool:
    """Whether a text begins with a header line, which describes the message and not its subject matter."""
    return _MAIL_HEAD.match(text) is not None


def _announcing(lines: Sequence[str]) -> str:
    """The line that introduces a quoted message ("On 4 June Ann wrote:"), which may be wrapped
    before its last word; "" if there is none."""
    last = lines[-1].rstrip()
    if not last.endswith((":", "：")) or len(last) > _LONGEST_ANNOUNCED:
        return ""
    return f"{lines[-2].strip()}\n{last}" if len(lines) > 1 and len(last.split()) <= 2 else last
