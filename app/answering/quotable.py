"""Cuts passages into quotable pieces: sentences, list items, table rows with their head, and lines of keys and values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from app.answering.mail import told_by
from app.answering.prompt import PromptSource
from app.answering.rows import MOST_CHARACTERS, row_text, rows_of, runs_of
from app.text.blocks import TextBlock, blocks, heading_words
from app.text.folding import fold
from app.text.sentences import sentences

_BULLET: Final = re.compile(r"^\s*(?:[*+•-]|\d{1,9}[.)])\s+")
_ENDS: Final = (*".!?…。！？؟।", '."', ".)", ".”", "。」")
_ASKS: Final = ("?", "？", "؟")
_LEADS: Final = (":", "：")
_CONTINUES: Final = re.compile(
    r"\A(?:(?:it|its|they|their|he|his|she|her|this|these|er|sie|es|dieser?|dieses|il|elle|ils|elles|ce|él|ella|esto|он|она|оно|они|"
    r"его|её|их|это)\b|[它他她]|それ|これ|\w+\s(?:فيها|فيه|منها|منه|عنها|عنه|لها|بها|به)\b)",
    re.IGNORECASE,
)
_MOST_WORDS: Final = 60  # a longer piece is an enumeration and is not quoted
_NUMBERED: Final = re.compile(r"\A\s*+\d{1,3}[.)]\s")
_MOST_CELLS: Final = 12
_LONGEST_LABEL: Final = 60  # characters
_LABEL_WORDS: Final = 6
_TITLE_WORDS: Final = 3
_HEAD_LINES: Final = 3
_SENTENCE: Final = re.compile(r"[。！？]|[.!?]\s")
_SHORTEST_PROSE: Final = 4  # words
_PROGRAM: Final = re.compile(r"[{}<>=;$]|>>>|\w\(\w*\)\.|^[A-Z_]+ \w+ FROM\b")
_FIRM: Final = re.compile(r"(?:\b\w{1,2}|\b(?:Ltd|Inc|Corp|Bros))\.\Z")  # "e. V.", "S.A.", "Co."
_SECTION: Final = re.compile(r"\A\W{0,3}(?:§|\d|art(?:icle|ikel|ículo|icolo|\.)?\s*\d|статья|第)", re.IGNORECASE)
# The number of a section before the words of its heading: "§ 4 ", "Article 12 ", "第3条".
_SECTION_NUMBER: Final = re.compile(
    r"\A(?:§{1,2}\s?\d{1,4}[a-z]?|(?:art(?:icle|ikel|ículo|icolo|igo)?\.?|section|sección|abschnitt|chapter|chapitre|kapitel|capítulo|clause|статья|раздел|глава)"
    r"\s+\d{1,4}|第[\d一二三四五六七八九十百]{1,5}[条條章節节])[.)]?\s+",
    re.IGNORECASE,
)
_INNER_MARK: Final = re.compile(r"(?<![^\s])>\s")  # the mark of a quotation between lines that were joined
_FIELD: Final = re.compile(r"\A[^\s:：]{1,30}[:：]\s+")
_SHORT_LINE: Final = 80  # characters; wrapped text is at least half as wide
# Words with which a sentence never ends in their language, and a heading rarely.
_NEVER_LAST: Final = frozenset(
    """the a an of to with your our their its and or for from by at as if is are was were be which that will can may this these into
    der die das den dem des ein eine einer einem einen und oder mit von für zu im zum zur le la les un une des du de et ou en dans el los
    las una y con por para del""".split()  # noqa: SIM905
)
_WRAPPED_SHARE: Final = 0.7  # the share of full lines in wrapped text; a URL or a long word makes a line break sooner


@dataclass(frozen=True, slots=True)
class Quotable:
    """A piece of a passage that can be quoted alone.

    `n`: the number of its source; `position`: its index in the passage. `context`: the lines above it that belong to it (title,
    headings, table head, line before a list); `heading`: the innermost heading; `before`: the sentence that it continues, or "".
    `lead`: the first words of its document, which say what all of it is about; `head`: the document's title lines. `cells`: for a
    table row, (column head, cell) pairs. `loose`: it is no sentence, such as a line of a letterhead; `leads`: it introduces a
    list or code, as a step of an explanation does. `defines`: the term or code above it that it explains. `earlier`: in an
    e-mail, who wrote it if it is quoted from an earlier message.
    """

    text: str
    n: int
    position: int
    context: str = ""
    before: str = ""
    heading: str = ""
    lead: str = ""
    cells: tuple[tuple[str, str], ...] = ()
    loose: bool = False
    head: str = ""
    leads: bool = False
    defines: str = ""
    earlier: str = ""


def quotable(source: PromptSource) -> list[Quotable]:
    """The pieces of a passage in reading order."""
    path: list[tuple[int, str]] = []
    intro, label, defines, found = "", "", "", list[Quotable]()
    first, top, lead = _first_heading(source), title_lines(source), _lead(source)
    title = " ".join(top.split())
    for block, earlier in told_by(source):
        if block.kind == "heading":
            while path and path[-1][0] >= block.level:
                path.pop()
            path.append((block.level, heading_words(block.text)))
            intro = label = defines = ""
            continue
        main = _of_whole(first, path)
        above = [*([source.title] if main or source.title != first else []), *(words for _, words in path)]
        inner = path[-1][1] if path else ""
        if (named := _label(block)) and block.text.count("\n") == 0:
            label, defines = named, named if _is_code(named) else ""
            continue
        label, defines = named or label, "" if named else defines
        if (defined := _defined(block)) is not None:
            label, block = defined
            defines = label
        elif block.kind == "code" and _is_prose(block.text):
            block = replace(block, kind="paragraph", text="\n".join(line.strip() for line in block.text.split("\n")))
        if block.kind == "table":
            pieces = [(row_text(cells), head, "", cells) for cells, head in rows_of(block)]
        elif block.kind == "code":
            pieces = []
        else:
            pieces = [(piece, "", before, ()) for piece, before in _pieces(block)]
        for text, head, before, cells in pieces:
            if (title and _FIELD.sub("", text) in title) or _FIELD.sub("", text) == source.title:
                continue  # it only repeats the title
            loose = block.kind == "paragraph" and ":" not in text and not text.endswith(_ENDS)
            context = "\n".join(filter(None, [*above, label, intro if block.kind != "paragraph" else "", head]))
            leads = text.endswith(_LEADS)
            found.append(
                Quotable(
                    text,
                    source.n,
                    len(found),
                    context,
                    before,
                    inner,
                    lead if main else "",
                    cells,
                    loose,
                    top if main else "",
                    leads,
                    defines,
                    earlier,
                )
            )
        if block.kind in ("paragraph", "item") and block.text.rstrip().endswith(_LEADS):
            intro = " ".join(_BULLET.sub("", block.text).split())
        elif block.kind == "paragraph":
            intro = ""
    return found


def _is_code(line: str) -> bool:
    return " " not in line and any(map(str.isdigit, line)) and any(map(str.isalpha, line))


def _defined(block: TextBlock) -> tuple[str, TextBlock] | None:
    """(term, block of its definition) if the block is a term with an indented definition below it; else None."""
    first, _, rest = block.text.partition("\n")
    lines = rest.split("\n")
    if block.kind not in ("paragraph", "item") or not rest or len(first) > _LONGEST_LABEL or first.endswith(_ENDS):
        return None
    if first[:1].isspace() or _BULLET.match(first) or not all(line[:2].isspace() for line in lines):
        return None
    return first.strip("`*_: "), replace(block, kind="paragraph", text="\n".join(line.strip() for line in lines))


def _is_prose(code: str) -> bool:
    """Whether indented lines are not code but sentences, which define the term above them."""
    text = " ".join(code.split())
    return text[:1].isupper() and text.endswith(_ENDS) and _PROGRAM.search(text) is None and len(text.split()) >= _SHORTEST_PROSE


def _label(block: TextBlock) -> str:
    """The heading, if the block begins with one that is not marked as such: a short first line that does not end like a sentence
    ("2. Ascensor", "`retry_minutes`"); else ""."""
    line = block.text.split("\n", 1)[0].strip()
    bare = _BULLET.sub("", line)
    alone = "\n" not in block.text
    if block.kind not in ("paragraph", "item") or (alone and block.kind == "item" and not _NUMBERED.match(line)):
        return ""
    if not alone and goes_on(line, block.text.split("\n", 2)[1]):
        return ""
    short = len(bare) <= _LONGEST_LABEL and len(bare.split()) <= _LABEL_WORDS
    plain, words = bare.strip("`*_"), _SECTION_NUMBER.sub("", bare)
    return (
        plain
        if short
        and plain
        and not line.endswith(_ENDS)
        and ":" not in line
        and "：" not in line
        and words
        and (not any(map(str.isdigit, words)) or (alone and _is_code(bare)))
        and not _SENTENCE.search(words)
        else ""
    )


def _first_heading(source: PromptSource) -> str:
    first = next(blocks(source.lead), None)
    return heading_words(first.text) if first is not None and first.kind == "heading" else ""


def _of_whole(first: str, path: Sequence[tuple[int, str]]) -> bool:
    """Whether the beginning of the document also describes this part. If the part's top heading is not the document's
    `first` heading, it does only if `first` is a title: long enough, and without a word of the part's heading (so not
    "Machine Alder" for "Machine Cedar")."""
    if not first or not path or path[0][1] == first or _SECTION.match(path[0][1]):
        return True
    words = set(first.lower().split())
    return len(words) >= _TITLE_WORDS and words.isdisjoint(path[0][1].lower().split())


def _lead(source: PromptSource) -> str:
    """The document's file name and its first words up to its second heading. Headings of numbered sections do not count, because
    they divide one thing, such as a contract."""
    kept = [source.file]
    for place, block in enumerate(blocks(source.lead)):
        if place and block.kind == "heading" and not _SECTION.match(heading_words(block.text)):
            break
        if block.kind in ("heading", "paragraph") or (block.kind == "item" and not _repeats(source, block)):
            kept.append(block.text)
    return "\n".join(kept)


def _repeats(source: PromptSource, block: TextBlock) -> bool:
    """Whether the key of a `key: value` line is repeated in other lines, so that the line is about one of many
    things and not about the whole document."""
    key, colon, _ = block.text.partition(": ")
    return bool(colon) and max(source.lead.count(f"{key}: "), source.text.count(f"{key}: ")) > 1


def title_lines(source: PromptSource) -> str:
    """The lines at the top of the document that are no sentences, such as a title, the name of a company or a street."""
    first = next(iter(blocks(source.lead)), None)
    if first is None or first.kind not in ("heading", "paragraph"):
        return ""
    lines = [line.rstrip() for line in first.text.split("\n")[:_HEAD_LINES]]
    return "\n".join(line for line in lines if len(line) <= _SHORT_LINE and (not line.endswith(_ENDS) or _FIRM.search(line)))


def _pieces(block: TextBlock) -> Iterator[tuple[str, str]]:
    """(piece, the sentence that it continues, or "") for each piece of a block."""
    before = asked = ""
    parts = list(_parts(block.text))
    for place, part in enumerate(parts):
        text = " ".join(_INNER_MARK.sub(" ", _BULLET.sub("", part)).split())
        if block.kind == "item" and not place and len(parts) > 1 and text.endswith(_ASKS):
            asked = text  # "Broken on arrival? Send a photo." is one piece
            continue
        text, asked = f"{asked} {text}".strip(), ""
        if _is_whole(text, block):
            yield text, before if before and _CONTINUES.match(text) else ""
        before = f"{before} {text}" if before and _CONTINUES.match(text) else text


def _parts(text: str) -> Iterator[str]:
    lines = [line for line in text.split("\n") if line.strip()]
    if (
        len(lines) > 1
        and not any(goes_on(line, below) for line, below in pairwise(lines))
        and not _is_wrapped(lines)
        and not any(line.rstrip().endswith(_ENDS) for line in lines[:-1])
    ):
        for line in lines:
            yield from sentences(line)
    else:
        yield from sentences(text)


def goes_on(line: str, below: str) -> bool:
    """Whether a sentence continues from `line` into the line `below`: `line` ends with a comma, a hyphen or a word that ends no
    sentence, or `below` begins with a small letter and contains the end of a sentence."""
    line, below = line.strip(), below.strip()
    if not line or not below or line.endswith(_ENDS) or _BULLET.match(below):
        return False
    last = fold(line.rsplit(maxsplit=1)[-1])
    return (
        line.endswith((",", "-", "–", "—"))
        or (last in _NEVER_LAST and last.isalpha())
        or (below[0].islower() and (below.endswith(_ENDS) or ". " in below))
    )


def _is_wrapped(lines: Sequence[str]) -> bool:
    """Whether the lines are wrapped text: they end because the next word did not fit."""
    width = max(map(len, lines))
    full = sum(len(line.rstrip()) + 1 + len(below.split(maxsplit=1)[0]) > width for line, below in pairwise(lines))
    return full >= _WRAPPED_SHARE * (len(lines) - 1) and (width > _SHORT_LINE // 2 or len(lines) == 2)


def _is_whole(text: str, block: TextBlock) -> bool:
    words = len(text.split())
    return (
        words <= _MOST_WORDS
        and len(text) <= MOST_CHARACTERS
        and text.count("(") == text.count(")")  # a passage may begin or end inside a long sentence
        and (text.endswith((*_ENDS, *_LEADS)) or block.kind == "item" or ":" in text or any(map(str.isdigit, text)))
    )


def records(sources: Sequence[PromptSource]) -> Iterator[Quotable]:
    """Records: adjacent `key: value` lines with different keys, which describe one thing as a
    table row does. The first line names it."""
    for source in sources:
        for place, run in enumerate(runs_of(source.text)):
            cells = tuple((key.strip(" -*•").rpartition(".")[2].replace("_", " "), value.strip()) for key, value in run)
            if (
                2 <= len(cells) <= _MOST_CELLS
                and len({key for key, _ in cells}) == len(cells)
                and len(row_text(cells)) <= MOST_CHARACTERS
            ):
                above = "\n".join([source.title, *(key.replace("_", " ") for key, _ in run)])
                yield Quotable(row_text(cells), source.n, place, above, lead=_lead(source), cells=cells)


def candidates(sources: Sequence[PromptSource]) -> list[Quotable]:
    """The pieces of all sources, from the best passages first; a piece that two passages share is taken once."""
    seen, kept = set[tuple[str, str]](), list[Quotable]()
    for source in sources:
        for piece in quotable(source):
            key = (piece.text, piece.context)
            if key not in seen:
                seen.add(key)
                kept.append(piece)
    return kept
