"""PowerPoint presentations: slides, tables and notes."""

from __future__ import annotations

from typing import Final

from app.text.formats.format import Format
from app.text.formats.office import LIBRARY, office_reader

_TYPE: Final = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
FORMAT: Final = Format("PowerPoint", _TYPE, ("pptx",), office_reader(_TYPE), libraries=(LIBRARY,), archive_mark=b"ppt/")
