"""reStructuredText: headings, tables and code become Markdown."""

from __future__ import annotations

from typing import Final

from app.text.formats.format import Format
from app.text.formats.office import LIBRARY, office_reader

_TYPE: Final = "text/x-rst"
FORMAT: Final = Format(
    "reStructuredText",
    _TYPE,
    ("rst",),
    office_reader(_TYPE),
    declared=("text/prs.fallenstein.rst",),
    text=True,
    libraries=(LIBRARY,),
)
