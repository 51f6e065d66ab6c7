"""The counts of one process of the load generator. Pure; `loadtests/generator.py` adds up those of all processes."""

from __future__ import annotations

from typing import Any, Final

from loadtests.measured import GeneratorHealth


class Meter:
    """Counts of one process since the start of a run. Attributes are plain dictionaries, because each request writes to them."""

    def __init__(self) -> None:
        self.counted, self.reported = GeneratorHealth(), GeneratorHealth()

    def reset(self) -> None:
        """A new run begins. Streams that are still open stay counted: they will be closed."""
        self.counted, self.reported = GeneratorHealth(streams=self.counted.streams), GeneratorHealth()

    def sent(self, name: str, late_seconds: float | None) -> None:
        """Count a sent request and its lateness in seconds; None if it had no due time of its own."""
        _more(self.counted.sent, name)
        if late_seconds is not None:
            _more(self.counted.late_ms, _bin(late_seconds))

    def answered(self, name: str) -> None:
        _more(self.counted.answered, name)

    def not_sent(self, name: str, reason: str) -> None:
        """Count a request that the generator itself could not send; it is not a failure of the service."""
        self.counted.sent[name] -= 1
        _more(self.counted.not_sent, f"{name}: {reason}")

    def token(self, gap_seconds: float | None) -> None:
        """Count a token and the gap to the one before in seconds; None for the first of its answer."""
        self.counted.tokens += 1
        if gap_seconds is not None:
            _more(self.counted.between_tokens_ms, _bin(gap_seconds))

    def timed(self, header: str) -> None:
        """Add up a Server-Timing header: `embed;dur=3.1, search;dur=8`."""
        self.counted.server_timed += 1
        for part in header.split(","):
            name, _, parameters = part.strip().partition(";")
            for one in parameters.split(";"):
                key, _, value = one.strip().partition("=")
                if key == "dur":
                    self.counted.server_ms[name] = self.counted.server_ms.get(name, 0.0) + float(value)

    def lagged(self, seconds: float) -> None:
        """Count how late a sleeping greenlet was woken."""
        _more(self.counted.lag_ms, _bin(seconds))

    def news(self) -> dict[str, Any]:
        """The counts since the last call, JSON-ready."""
        now = self.counted.model_copy(deep=True)
        found, self.reported = now.minus(self.reported), now
        return found.model_dump()


def _more(tally: dict[Any, int], key: Any) -> None:
    tally[key] = tally.get(key, 0) + 1


def _bin(seconds: float) -> int:
    """Milliseconds rounded to two digits, as Locust does, so that reports stay small."""
    ms = round(seconds * 1000)
    return ms if ms < 100 else round(ms, -1) if ms < 1000 else round(ms, -2) if ms < 10_000 else round(ms, -3)


METER: Final = Meter()  # one for each process; users of all classes write to it
