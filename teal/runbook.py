"""Reads runbooks (`runbooks/*.md`, one page for each kind of trouble) as data, and runs their command blocks unchanged.

A page has a title, the five sections of SECTIONS in this order, and command blocks: fences with the info string `bash name=WORD`. Blocks under
Diagnosis only read. `teal drill` runs them; the tests hold the form.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from teal.errors import BadInput
from teal.laptop.environments import project

SECTIONS = ("Meaning", "Impact", "Diagnosis", "Mitigation", "Verification")
WITH_BLOCKS = ("Diagnosis", "Mitigation", "Verification")
INFO = re.compile(r"bash name=([a-z][a-z0-9-]*)")


@dataclass(frozen=True, slots=True)
class CommandBlock:
    """A block of bash commands. `line`: its line on the page, counted from 1."""

    name: str
    section: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Runbook:
    """One page; its blocks by name, in the page's order."""

    slug: str
    title: str
    blocks: Mapping[str, CommandBlock]


@dataclass(frozen=True, slots=True)
class BlockResult:
    """The result of running a block. `exit_code` is None when it did not end in time. `said`: its output on both streams."""

    block: str
    exit_code: int | None
    seconds: float
    said: str


def runbooks_folder() -> Path:
    """The folder of the pages, which is beside the package in a checkout."""
    return project() / "runbooks"


def read_runbook(slug: str, pages: Path | None = None) -> Runbook:
    """One page. Raises BadInput when there is none or it does not have the form."""
    path = (pages or runbooks_folder()) / f"{slug}.md"
    try:
        return parse_runbook(path.read_text(encoding="utf-8-sig"), slug)
    except FileNotFoundError as error:
        raise BadInput(f"There is no runbook {slug}", where=str(path), next=f"ls {path.parent}") from error


def parse_runbook(text: str, slug: str) -> Runbook:
    """A page from Markdown (CommonMark). Raises BadInput that names the line."""

    def wrong(what: str, line: int) -> BadInput:
        return BadInput(what, where=f"runbooks/{slug}.md:{line}", next=f"edit runbooks/{slug}.md")

    title, sections, blocks = "", list[str](), dict[str, CommandBlock]()
    tokens = MarkdownIt("commonmark").parse(text)
    for place, token in enumerate(tokens):
        line = (token.map or [0])[0] + 1
        if token.type == "heading_open" and token.tag == "h1":
            title = title or tokens[place + 1].content
        elif token.type == "heading_open" and token.tag == "h2":
            sections.append(tokens[place + 1].content)
        elif token.type == "fence" and "name=" in token.info:
            named = INFO.fullmatch(token.info.strip())
            if named is None:
                raise wrong(f"A command block begins with ```bash name=WORD, not with ```{token.info}", line)
            if (section := sections[-1] if sections else "") not in WITH_BLOCKS:
                raise wrong(f"Command blocks belong under {', '.join(WITH_BLOCKS)}", line)
            if named[1] in blocks:
                raise wrong(f"Two blocks are named {named[1]}", line)
            blocks[named[1]] = CommandBlock(named[1], section, token.content, line)
    if not title:
        raise wrong("A runbook begins with a title (# ...)", 1)
    if tuple(sections) != SECTIONS:
        raise wrong(f"Its sections are {', '.join(sections) or 'none'}; they must be {', '.join(SECTIONS)}", 1)
    return Runbook(slug, title, blocks)


def find_block(book: Runbook, name: str) -> CommandBlock:
    """A block by its name. Raises BadInput with the names there are."""
    try:
        return book.blocks[name]
    except KeyError as error:
        raise BadInput(f"{book.title} has no block {name}; it has {', '.join(book.blocks) or 'none'}", where=f"runbooks/{book.slug}.md",
                       next=f"edit runbooks/{book.slug}.md") from error  # fmt: skip


def run_block(wanted: CommandBlock, environ: Mapping[str, str], cwd: Path, *, timeout_seconds: float) -> BlockResult:
    """Run the block in bash, which stops at the first command that fails. It runs in its own process group: a time-out ends everything it started."""
    began = time.monotonic()
    command = ("bash", "-euo", "pipefail", "-c", wanted.text)
    with subprocess.Popen(command, env=dict(environ), cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,  # noqa: S603
                          stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True) as process:  # fmt: skip
        try:
            said, _ = process.communicate(timeout=timeout_seconds)
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, code = process.communicate()[0], None
    return BlockResult(wanted.name, code, time.monotonic() - began, said)
