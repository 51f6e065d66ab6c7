"""The registry of readable formats. A new format is a file here and a line in `FORMATS`, which
the API, the page and `teal ingest` use."""

from __future__ import annotations

from typing import Final

from app.text.formats import (
    docx,
    eml,
    epub,
    html,
    json_data,
    markdown,
    notebook,
    odt,
    pdf,
    plain,
    pptx,
    rst,
    rtf,
    table,
    xlsx,
)
from app.text.formats.format import Format

FORMATS: Final[tuple[Format, ...]] = (
    pdf.FORMAT,
    html.FORMAT,
    markdown.FORMAT,
    plain.FORMAT,
    rst.FORMAT,
    table.FORMAT,
    json_data.FORMAT,
    docx.FORMAT,
    pptx.FORMAT,
    xlsx.FORMAT,
    odt.FORMAT,
    epub.FORMAT,
    eml.FORMAT,
    rtf.FORMAT,
    notebook.FORMAT,
)
BY_MEDIA_TYPE: Final = {one.media_type: one for one in FORMATS}


def names() -> str:
    """The names of all formats, as part of a message."""
    return ", ".join(one.name for one in FORMATS)
