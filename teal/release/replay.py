"""Replays recorded queries of users against both colors, and tells what they answer.

Each query is sent with a key that may see exactly the collections that the query was allowed to find when it was recorded
(`app.admin queries sample` makes it), past the caches, one request at a time: active color, new color, active color again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

from teal.client.probe import ProbeFailed, Prober
from teal.errors import AdminFailed
from teal.events import Event
from teal.ports.target import Target
from teal.record.model import Color
from teal.release.answers import Measure, Replayed, read_answer

SCOPES: Final = (
    8  # keys that one replay makes at most; on a laptop with more tenants the rarest of the drawn queries are left out
)
KEY_MINUTES: Final = 15  # life of these keys: longer than any replay
SETTING: Final = "TEAL_QUERY_SAMPLE"

Admin = Callable[..., list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class RecordedQuery:
    """One query to replay, with the key that it is sent under."""

    path: str
    body: Mapping[str, Any]
    key: str


@dataclass(frozen=True, slots=True)
class Colors:
    """The color that users get, and the one that is compared with it."""

    active: Color
    new: Color


def recorded_queries(target: Target, admin: Admin, config: Mapping[str, str]) -> tuple[tuple[RecordedQuery, ...], str]:
    """The queries to replay, and a sentence about them: why there are none, or how many of how many. `admin` runs
    `python -m app.admin`, and is not asked when the color's configuration keeps no texts: on AWS each command is a Job."""
    if config.get(SETTING) != "texts":
        return (), "off: no texts are kept; `TEAL_QUERY_SAMPLE=texts teal release` keeps them"
    until = (target.clock.now() + timedelta(minutes=KEY_MINUTES)).isoformat()
    count = str(target.rules.replay_queries)
    try:
        rows = admin("queries", "sample", "--count", count, "--scopes", str(SCOPES), "--expires-at", until)
    except AdminFailed as error:  # a version without the command, or one that cannot read its sample: no reason to undo a release
        return (), f"off: the sample of queries cannot be read: {error.what}"
    about = next((row for row in rows if row.get("kind") == "sample"), {})
    keys = {row["scope"]: str(row["key"]) for row in rows if row.get("kind") == "scope"}
    found = tuple(RecordedQuery(str(row["path"]), row["body"], keys[row["scope"]]) for row in rows if row.get("kind") == "query")
    if not found:
        return (), f"off: of {about.get('recorded')} recorded queries none has a text that can be read"
    left = f", {about['left_out']} of rarer scopes left out" if about.get("left_out") else ""
    return found, f"{len(found)} of {about.get('recorded')} recorded queries{left}"


def replayed(
    target: Target, colors: Colors, queries: Sequence[RecordedQuery], keep: Callable[[], object] = lambda: None
) -> Iterator[Replayed]:
    """The answers to each query, in a random order, until `replay_seconds` are over. At most `replay_per_second` requests a second.
    `keep` is called between two queries, to renew a lease. A color that does not answer counts as failed."""
    rules, clock = target.rules, target.clock
    deadline = clock.monotonic() + rules.replay_seconds
    with ExitStack() as opened:
        probers: dict[tuple[Color, str], Prober] = {}

        def prober(color: Color, key: str) -> Prober:
            if (color, key) not in probers:
                client = target.client(target.traffic.entry(color))
                probers[color, key] = opened.enter_context(Prober(client, {"Authorization": f"Bearer {key}"}))
            return probers[color, key]

        for query in random.sample(list(queries), len(queries)):
            if clock.monotonic() >= deadline:
                return
            answers = []
            for color in (colors.active, colors.new, colors.active):
                began = clock.monotonic()
                try:
                    found = prober(color, query.key).call("POST", query.path, json=query.body)
                    status, body = found.status_code, found.json() if found.status_code == 200 else None
                except (ProbeFailed, ValueError):
                    status, body = 0, None
                answers.append(read_answer(status, body, took := clock.monotonic() - began))
                clock.sleep(max(0.0, 1 / rules.replay_per_second - took))
            keep()
            yield Replayed(*answers)


def comparison(step: str, colors: Colors, replays: Sequence[Replayed], measures: Iterable[Measure], said: str) -> Event:
    """The event that the evidence shows as a table."""
    table = {"queries": len(replays), "new": colors.new, "active": colors.active, "rows": [asdict(one) for one in measures]}
    return Event(step, "progress", f"replayed {said}", data={"replay": table})
