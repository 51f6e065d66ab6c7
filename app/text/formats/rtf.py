"""Rich Text Format."""

from __future__ import annotations

from typing import Final

from app.text.formats.format import Format
from app.text.formats.office import LIBRARY, office_reader

_TYPE: Final = "application/rtf"
FORMAT: Final = Format("Rich Text", _TYPE, ("rtf",), office_reader(_TYPE), declared=("text/rtf",), libraries=(LIBRARY,))
