"""Word documents: headings, lists and tables."""

from __future__ import annotations

from typing import Final

from app.text.formats.format import Format
from app.text.formats.office import LIBRARY, office_reader

_TYPE: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
FORMAT: Final = Format("Word", _TYPE, ("docx",), office_reader(_TYPE), libraries=(LIBRARY,), archive_mark=b"word/")
