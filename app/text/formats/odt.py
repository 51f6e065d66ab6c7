"""OpenDocument texts."""

from __future__ import annotations

from typing import Final

from app.text.formats.format import Format
from app.text.formats.office import LIBRARY, office_reader

_TYPE: Final = "application/vnd.oasis.opendocument.text"
FORMAT: Final = Format(
    "OpenDocument text",
    _TYPE,
    ("odt",),
    office_reader(_TYPE),
    libraries=(LIBRARY,),
    archive_mark=b"mimetypeapplication/vnd.oasis.opendocument.text",
)
