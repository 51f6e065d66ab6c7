"""The pages of runbooks/ as data: title, alerts, sections, named command blocks, and the code between the words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from teal.runbook import INFO

FOLDER = Path(__file__).parents[2] / "runbooks"


@dataclass(frozen=True)
class Block:
    """Commands for bash; `section` is the heading it stands under."""

    page: str
    name: str
    section: str
    text: str

    @property
    def for_aws(self) -> bool:
        return self.name.endswith("-aws")

    def __str__(self) -> str:
        return f"{self.page}.md, block {self.name}"


@dataclass(frozen=True)
class Page:
    """One page. `alerts`: names on its second line; `code`: spans of code in its prose; `fences`: info strings of all fences, in order."""

    slug: str
    title: str
    alerts: tuple[str, ...]
    sections: Mapping[str, str]
    blocks: tuple[Block, ...]
    code: tuple[str, ...]
    links: tuple[str, ...]
    fences: tuple[str, ...]


def parse(path: Path) -> Page:
    """A page as CommonMark sees it."""
    text = path.read_text(encoding="utf-8")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    title, section = "", ""
    sections: dict[str, str] = {}
    blocks: list[Block] = []
    fences: list[str] = []
    for place, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h1":
            title = tokens[place + 1].content
        elif token.type == "heading_open" and token.tag == "h2":
            section = tokens[place + 1].content
            sections[section] = ""
        elif token.type == "fence":
            fences.append(token.info)
            if named := INFO.fullmatch(token.info):
                blocks.append(Block(path.stem, named[1], section, token.content))
        elif token.type == "inline" and section:
            sections[section] += token.content + "\n"
    second = next(iter(text.splitlines()[2:3]), "")
    alerts = tuple(second.removeprefix("Alerts: ").split(", ")) if second.startswith("Alerts: ") else ()
    inline = [child for token in tokens if token.type == "inline" for child in token.children or ()]
    code = tuple(child.content for child in inline if child.type == "code_inline")
    links = tuple(str(child.attrs["href"]) for child in inline if child.type == "link_open")
    return Page(path.stem, title, alerts, sections, tuple(blocks), code, links, tuple(fences))


def pages() -> list[Page]:
    """Every runbook, by name; the README is no runbook."""
    return [parse(path) for path in sorted(FOLDER.glob("*.md")) if path.stem != "README"]


def readme() -> Page:
    return parse(FOLDER / "README.md")


def tables(path: Path) -> list[list[str]]:
    """Rows of a page's tables as the text of their cells; heads left out."""
    rows: list[list[str]] = []
    body = False
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8")):
        body = body or token.type == "tbody_open"
        body = body and token.type != "tbody_close"
        if body and token.type == "tr_open":
            rows.append([])
        if body and token.type == "inline":
            rows[-1].append(plain(token))
    return rows


def plain(token: Token) -> str:
    """Text without marks; a link's target stands for its text."""
    return "".join(str(child.attrs["href"]) if child.type == "link_open" else "" if _in_link(token, place) else child.content
                   for place, child in enumerate(token.children or ()))  # fmt: skip


def _in_link(token: Token, place: int) -> bool:
    before = (token.children or [])[:place]
    return sum(child.type == "link_open" for child in before) > sum(child.type == "link_close" for child in before)
