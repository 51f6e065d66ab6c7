"""The command of `python -m app.admin` that hands the recorded sample of users' queries to a release.

Each command imports what it needs when it runs, so that every other command starts fast.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from app.commands.moments import future_moment

if TYPE_CHECKING:
    from app.settings import Settings

JsonLine = dict[str, Any]
_LOOKED_AT: Final = 20  # times the wanted number: equal queries count once, and the newest say most about today's users
_PATHS: Final = {"search": "/v1/search", "ask": "/v1/ask"}


def queries_sample(settings: Settings, options: argparse.Namespace) -> Iterator[JsonLine]:
    """Some recorded queries with their texts, drawn at random from the newest, and for each scope among them a reader's key that
    may see exactly the collections that these queries were allowed to find. The keys end by themselves."""
    from app.catalog import keys, query_sample
    from app.catalog.engine import Catalog

    with Catalog(settings.sqlalchemy_url()).write() as session:
        keeps = settings.sampled()
        rows = query_sample.newest_with_text(session, options.count * _LOOKED_AT) if keeps == "texts" else []
        chosen = _opened(settings, {(row.kind, row.text_hash, *(row.collections or ["*"])): row for row in rows}, options.count)
        often = Counter(scope for scope, _, _ in chosen).most_common(options.scopes)
        numbers = {scope: number for number, (scope, _) in enumerate(often)}
        yield {"kind": "sample", "keeps": keeps, "recorded": query_sample.count(session), "with_text": len(rows),
               "left_out": sum(scope not in numbers for scope, _, _ in chosen)}  # fmt: skip
        for scope, number in numbers.items():
            info, text = keys.create_key(
                session, name="replay of sampled queries", role="reader", collections=scope, expires_at=options.expires_at
            )
            yield {"kind": "scope", "scope": number, "id": info.id, "key": text, "collections": scope}
    for scope, path, body in chosen:
        if scope in numbers:
            yield {"kind": "query", "scope": numbers[scope], "path": path, "body": body}


def _opened(settings: Settings, rows: dict[Any, Any], count: int) -> list[tuple[tuple[str, ...] | None, str, dict[str, Any]]]:
    """Scope, path and body of `count` random rows; rows that another key encrypted are left out."""
    import json
    import random

    import pyrage

    from app.access.query_sample import sample_key

    if not rows:
        return []
    key = sample_key(settings.query_sample_key())
    found: list[tuple[tuple[str, ...] | None, str, dict[str, Any]]] = []
    for row in random.sample(list(rows.values()), len(rows)):
        if len(found) == count:
            break
        try:
            body = json.loads(pyrage.decrypt(row.request, [key]))
        except pyrage.DecryptError:
            continue
        found.append((None if row.collections is None else tuple(row.collections), _PATHS[row.kind], body))
    return found


def add_commands(commands: Any) -> None:
    group = commands.add_parser("queries", help="The recorded sample of users' queries.")
    sample = group.add_subparsers(required=True, metavar="sample").add_parser("sample", help=queries_sample.__doc__)
    sample.add_argument("--count", type=int, default=50, help="most queries; default 50")
    sample.add_argument("--scopes", type=int, default=8, help="most different scopes, for each of which a key is made; default 8")
    sample.add_argument("--expires-at", type=future_moment, required=True, help="end of these keys: ISO moment with time zone")
    sample.set_defaults(command=queries_sample)
