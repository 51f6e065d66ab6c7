"""Converts reStructuredText to readable plain text, for searching and quoting, not for typesetting."""

from __future__ import annotations

import re
from itertools import pairwise

_TARGETED = re.compile(r":[\w:+-]{1,40}:`([^`<]{1,400}?)\s{0,40}<[^`>]{0,400}>`")
_ROLE = re.compile(r":[\w:+-]{1,40}:`(~|!)?([^`]+)`")
_LINK = re.compile(r"`([^`<]{1,400}?)\s{0,40}<[^`>]{0,400}>`__?")
_REFERENCE = re.compile(r"(?<!`)`([^`]+)`__?")
_LITERAL = re.compile(r"``(.+?)``", re.DOTALL)
_STRONG = re.compile(r"\*\*(\S(?:[^*]*\S)?)\*\*")
_EMPHASIS = re.compile(r"(?<![\w*])\*([^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])")
_NAME_REFERENCE = re.compile(r"(?<![\w`])([A-Za-z]\w*[A-Za-z0-9])_(?=[\s.,;:)]|$)")
_UNDERLINE = re.compile(r"^([=\-~^\"'`#*+.:_])\1{2,}\s*$")
_DIRECTIVE = re.compile(r"^(\s*)\.\. ([\w:+-]+)::\s*(.*)$")
_OPTION = re.compile(r"^\s+:[\w-]+:(\s.*)?$")
_EXPLICIT = re.compile(r"^(\s*)\.\.(\s|$)")

# Directives that are dropped: their body is not text of the page, or is a list of file names.
_DROPPED = frozenset(
    {"toctree", "index", "image", "figure", "module", "currentmodule", "highlight", "contents", "program", "role", "default-role"}
)
# Directives whose argument is the name of what their body describes; people search for this name.
_NAMED = frozenset({"class", "method", "attribute", "function", "setting", "django-admin", "django-admin-option", "fieldlookup", "templatefilter",
                    "templatetag", "exception", "data", "classmethod", "staticmethod", "envvar", "object", "option", "describe", "rubric",
                    "admonition", "versionadded", "versionchanged", "deprecated"})  # fmt: skip
_SPOKEN = {"versionadded": "New in version", "versionchanged": "Changed in version", "deprecated": "Deprecated since version"}


def title(source: str) -> str | None:
    """The first heading: a line underlined with at least as many marks as it has characters."""
    lines = source.splitlines()
    for text, under in pairwise(lines):
        if text.strip() and not _UNDERLINE.match(text) and _UNDERLINE.match(under) and len(under.rstrip()) >= len(text.rstrip()):
            return inline(text.strip())
    return None


def clean(source: str) -> str:
    """Readable text: markup gone, headings, names of described things, prose and code kept, with their indentation."""
    text = inline("\n".join(_blocks(source.splitlines())))
    text = re.sub(r"::[ \t]*$", ":", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def inline(text: str) -> str:
    """Roles, links and literals become the words they show; `~package.Name` shows `Name`."""
    text = _TARGETED.sub(lambda found: _flat(found.group(1)), text)
    text = _ROLE.sub(
        lambda found: _flat(found.group(2)).rpartition(".")[2] if found.group(1) == "~" else _flat(found.group(2)), text
    )
    text = _NAME_REFERENCE.sub(lambda found: found.group(1), text)  # before literals lose the marks that protect them
    text = _LITERAL.sub(lambda found: found.group(1), text)
    text = _LINK.sub(lambda found: _flat(found.group(1)), text)
    text = _REFERENCE.sub(lambda found: _flat(found.group(1)), text)
    return _EMPHASIS.sub(lambda found: found.group(1), _STRONG.sub(lambda found: found.group(1), text))


def _flat(text: str) -> str:
    return " ".join(text.split())


def _blocks(lines: list[str]) -> list[str]:
    """The lines without directives, targets, comments and heading marks."""
    kept: list[str] = []
    skip_deeper_than: int | None = None  # inside a dropped block: its indentation
    after_directive = False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if skip_deeper_than is not None:
            if not line.strip() or indent > skip_deeper_than:
                continue
            skip_deeper_than = None
        if found := _DIRECTIVE.match(line):
            name, argument = found.group(2), found.group(3)
            after_directive = True
            if name in _DROPPED:
                skip_deeper_than = indent
            elif name in _NAMED and argument and not _said(kept, argument):
                kept.append(found.group(1) + (f"{_SPOKEN[name]} {argument}:" if name in _SPOKEN else argument))
            continue
        if _EXPLICIT.match(line):  # a label, a substitution or a comment
            skip_deeper_than = indent
            continue
        if after_directive and _OPTION.match(line):
            continue
        after_directive = after_directive and not line.strip() and kept[-1:] != [""]
        if not _UNDERLINE.match(line):
            kept.append(line.rstrip())
    return kept


def _said(kept: list[str], argument: str) -> bool:
    """Whether the heading just above already says this name."""
    last = next((line for line in reversed(kept) if line), "")
    return inline(last.strip()) == inline(argument.strip())
