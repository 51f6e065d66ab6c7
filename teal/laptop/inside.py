"""The `Inside` port on the laptop: reads the metrics and logs of a color's processes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from teal.metrics.scrape import fetch_page
from teal.record.model import Color

NAMES: Final = {"process_open_fds": "open files", "process_resident_memory_bytes": "bytes of memory"}
# Error levels as the service, Caddy and uvicorn write them, and the beginning of a Python traceback.
ERROR: Final = re.compile(
    r'"level": ?"(?:error|critical|fatal)"|^(?:ERROR|CRITICAL|FATAL)\b|\bTraceback \(most recent|^\w*(?:Error|Exception)\b',
    re.IGNORECASE,
)
TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?")
NEWEST_BYTES: Final = 8_000_000  # the end of each log that is read: some hours on a laptop, longer than a release


class LaptopInside:
    """The `Inside` port. `urls`: where each app process of a color serves /metrics; `headers`: sent with each such request. The
    logs are the files in the folder `logs` that are named after the color."""

    def __init__(self, urls: Callable[[Color], Sequence[str]], logs: Path, headers: Mapping[str, str] | None = None) -> None:
        self._urls = urls
        self._headers = dict(headers or {})
        self._logs = logs

    def held(self, color: Color) -> Mapping[str, float]:
        found: dict[str, float] = {}
        for url in self._urls(color):
            text = fetch_page(url, self._headers)
            if text is None:  # a sum without one process would be too low, so no value is returned
                return {}
            for family in text_string_to_metric_families(text):
                if family.name in NAMES:
                    found[NAMES[family.name]] = found.get(NAMES[family.name], 0.0) + family.samples[0].value
        return found

    def logged(self, color: Color, text: str) -> bool:
        return any(text.encode() in _newest(path) for path in sorted(self._logs.glob(f"*{color}-*")) if path.is_file())

    def errors(self, color: Color, count: int) -> Sequence[str]:
        found: list[tuple[str, str]] = []
        for path in sorted(self._logs.glob(f"*{color}-*")):
            if path.is_file():
                lines = _newest(path).decode("utf-8", "replace").splitlines()
                found += [(_time(line), f"{path.name}: {line}") for line in [one for one in lines if ERROR.search(one)][-count:]]
        return [line for _, line in sorted(found, key=lambda one: one[0])][-count:]


def _time(line: str) -> str:
    """When a line of JSON was written; lines without a time are as old as can be."""
    stamp = TIME.search(line)
    return stamp[0] if stamp else ""


def _newest(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - NEWEST_BYTES))
        return file.read()
