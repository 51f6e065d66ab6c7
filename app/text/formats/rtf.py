"""Rich Text Format."""

from __future__ import annotations

from typing import Final

from app.text.formats.format import Format
from app.text.formats.office import LIBRARY, office

_TYPE: Final = "application/rtf"
FORMAT: Final = Format("Rich Text", _TYPE, ("rtf",), office(_TYPE), declared=("text/rtf",), libraries=(LIBRARY,))
