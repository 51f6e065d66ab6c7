"""Excel workbooks: each sheet a heading and a table."""

from __future__ import annotations

from typing import Final

from app.text.formats.format import Format
from app.text.formats.office import LIBRARY, office_reader

_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
FORMAT: Final = Format("Excel", _TYPE, ("xlsx",), office_reader(_TYPE), libraries=(LIBRARY,), archive_mark=b"xl/")
