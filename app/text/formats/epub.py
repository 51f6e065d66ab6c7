"""Electronic books."""

from __future__ import annotations

from typing import Final

from app.text.formats.format import Format
from app.text.formats.office import LIBRARY, office_reader

_TYPE: Final = "application/epub+zip"
FORMAT: Final = Format(
    "EPUB", _TYPE, ("epub",), office_reader(_TYPE), libraries=(LIBRARY,), archive_mark=b"mimetypeapplication/epub+zip"
)
