"""Jupyter notebooks: prose unchanged, code in fences, and text output of code; pictures and other output are left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from app.text.blocks import headings
from app.text.document import ParsedDocument
from app.text.encoding import decode_text
from app.text.formats.format import Format
from app.text.rejection import broken_file, called


def read(body: bytes, filename: str | None) -> ParsedDocument:
    """Cells in order; the title is the first heading."""
    try:
        notebook = json.loads(decode_text(body, filename))
        cells = notebook["cells"]
        language = notebook.get("metadata", {}).get("kernelspec", {}).get("language", "")
        text = "\n\n".join(part for cell in cells for part in _parts(cell, str(language)))
    except (ValueError, RecursionError) as error:
        raise broken_file(filename, error) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise broken_file(filename, f"{called(filename)} is not a notebook of version 4") from error
    return ParsedDocument(next(headings(text), None), text)


def _parts(cell: dict[str, Any], language: str) -> Iterator[str]:
    source = _joined(cell.get("source", ""))
    if not source.strip():
        return
    if cell.get("cell_type") != "code":
        yield source
        return
    yield f"```{language}\n{source}\n```"
    for output in cell.get("outputs", []):
        printed = _joined(output.get("text") or output.get("data", {}).get("text/plain") or "")
        if printed.strip():
            yield f"```\n{printed}\n```"


def _joined(source: Any) -> str:
    return source if isinstance(source, str) else "".join(map(str, source))


FORMAT: Final = Format("Jupyter notebook", "application/x-ipynb+json", ("ipynb",), read, text=True)
