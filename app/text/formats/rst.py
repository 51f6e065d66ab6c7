"""reStructuredText, read with docutils and converted like a web page: headings, tables of every kind and code become Markdown.

Sphinx has directives and roles that docutils does not know. What they contain is read as if they were not there, so no word of
theirs is lost. Nothing but the file itself is read: directives that include other files are off.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from app.text.blocks import headings
from app.text.document import ParsedDocument
from app.text.encoding import decode_text
from app.text.formats.format import Format
from app.text.formats.html import read_html
from app.text.rejection import broken_file

_DIRECTIVE: Final = re.compile(r"^[ \t]{0,40}\.\. (?:\|[^|\n]{1,80}\| )?([A-Za-z][\w:.+-]{0,60})::(?:\s|$)", re.MULTILINE)
_ROLE: Final = re.compile(r":([A-Za-z][\w:.+-]{0,60}):`")
_TARGET: Final = re.compile(r"\s{0,9}<[^<>]{0,500}>\Z")  # in a role's text, where its link leads
_CODE: Final = (
    "code",
    "code-block",
    "sourcecode",
    "highlight",
    "prompt",
    "parsed-literal",
    "testcode",
    "doctest",
    "literalinclude",
)
_ASIDE: Final = re.compile(r"<(/?)aside\b")  # notes and footnotes, which belong to the text
# A line that begins with a person's initial, "J. Doe", is no item of a list.
_INITIAL: Final = re.compile(r"^([ \t]{0,40}(?::[^:\n]{1,60}:[ \t]{1,40})?)([A-Z]\. (?=[A-Z]))", re.MULTILINE)
_SILENT: Final = 5  # above docutils' worst level: its remarks about the markup are no part of the text
_SETTINGS: Final = {
    "report_level": _SILENT,
    "halt_level": _SILENT,
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "_disable_config": True,
    "embed_stylesheet": False,
    "stylesheet_path": "",
    "syntax_highlight": "none",
    "initial_header_level": 1,
    "doctitle_xform": False,
    "toc_backlinks": False,
    "footnote_references": "brackets",
    "smart_quotes": False,
    "line_length_limit": 1_000_000,
}


def read(body: bytes, filename: str | None) -> ParsedDocument:
    """Title: the first heading."""
    from docutils.core import publish_string

    text = _INITIAL.sub(r"\1\\\2", decode_text(body, filename))
    _read_what_sphinx_adds(text)
    try:
        page = publish_string(text, writer="html5", settings_overrides={**_SETTINGS, "output_encoding": "unicode"})
    except RecursionError:
        raise
    except Exception as error:  # docutils has errors of its own for each kind of markup
        raise broken_file(filename, error) from error
    read = read_html(_ASIDE.sub(r"<\1div", str(page)), filename)
    return replace(read, title=next(headings(read.text), None))


def _read_what_sphinx_adds(text: str) -> None:
    """Make docutils read the words of the directives and roles in this text that it does not know."""
    from docutils.parsers.rst import directives, roles
    from docutils.parsers.rst.languages import en

    for name in {*_DIRECTIVE.findall(text)}:
        if name.lower() in _CODE:
            directives.register_directive(name.lower(), _code_directive())
        elif name.lower() not in en.directives:
            directives.register_directive(name.lower(), _words_directive())
    for name in {*_ROLE.findall(text)}:
        if name.lower() not in en.roles:
            roles.register_local_role(name.lower(), _words_of_role)


class _AnyOption(dict[str, Any]):
    """Options that are accepted whatever their names are, and not looked at."""

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, name: str) -> Any:
        return str


def _words_directive() -> type[Any]:
    from docutils import nodes
    from docutils.parsers.rst import Directive

    class Words(Directive):
        optional_arguments = 1
        final_argument_whitespace = True
        has_content = True
        option_spec = _AnyOption()

        def run(self) -> list[Any]:
            found = nodes.container()
            if self.arguments:
                found += nodes.paragraph("", "", *self.state.inline_text(self.arguments[0], self.lineno)[0])
            self.state.nested_parse(self.content, self.content_offset, found)
            return [found]

    return Words


def _code_directive() -> type[Any]:
    from docutils import nodes
    from docutils.parsers.rst import Directive

    class Code(Directive):
        optional_arguments = 1
        final_argument_whitespace = True
        has_content = True
        option_spec = _AnyOption()

        def run(self) -> list[Any]:
            code = "\n".join(self.content)
            return [nodes.literal_block(code, code)] if code.strip() else []

    return Code


def _words_of_role(
    role: str, raw: str, text: str, line: int, inliner: Any, options: Any = None, content: Any = None
) -> tuple[list[Any], list[Any]]:
    from docutils import nodes, utils

    words = _TARGET.sub("", utils.unescape(text)) or text
    return [nodes.inline(raw, words)], []


_TYPE: Final = "text/x-rst"
FORMAT: Final = Format(
    "reStructuredText",
    _TYPE,
    ("rst",),
    read,
    declared=("text/prs.fallenstein.rst",),
    text=True,
    libraries=("docutils.core", "docutils.writers.html5_polyglot", "docutils.parsers.rst.states", "html_to_markdown"),
)
