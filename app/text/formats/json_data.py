"""JSON: one line for each value, led by the keys that lead to it, so that a line can be found and quoted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from app.text.document import ParsedDocument
from app.text.encoding import decode_text
from app.text.formats.format import Format
from app.text.rejection import broken_file

_TITLES: Final = ("title", "name")


def read(body: bytes, filename: str | None) -> ParsedDocument:
    """Lines of the form `key.key: value`; each object in a list becomes a paragraph. JSON Lines is read as a list."""
    text = decode_text(body, filename)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        try:
            data = [json.loads(line) for line in text.splitlines() if line.strip()]
        except (ValueError, RecursionError):
            raise broken_file(filename, error) from error
    title = next((data[key] for key in _TITLES if isinstance(data.get(key), str)), None) if isinstance(data, dict) else None
    return ParsedDocument(title, "\n".join(_lines(data)))


def _lines(data: Any) -> Iterator[str]:
    waiting: list[tuple[str, Any]] = [("", data)]  # not recursive, because the sender chooses the depth
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{path}.{key}" if path else str(key), each) for key, each in reversed(value.items())]
        elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
            yield ""
            waiting += [(path, each) for each in reversed(_apart(value))]
        elif isinstance(value, list):
            yield f"{path}: {', '.join(map(_said, value))}" if path else ", ".join(map(_said, value))
        elif value is _GAP:
            yield ""
        else:
            yield f"{path}: {_said(value)}" if path else _said(value)


_GAP: Final = object()


def _apart(values: list[Any]) -> list[Any]:
    return [each for value in values for each in (value, _GAP)]


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


FORMAT: Final = Format(
    "JSON", "application/json", ("json", "jsonl"), read, declared=("application/x-ndjson", "text/json"), text=True
)
