"""The example values in the committed stack files, which an operator must replace before a real account is used.

The repository `example/teal` belongs to a stranger, whose workflows would get the role that may do everything.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from contract.names import EXAMPLE_ACCOUNT
from infra.config.rules import Refusal

# The networks that RFC 5737 reserves for documentation.
_NETWORKS: Final = tuple(map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))
_PATTERNS: Final = (
    (
        re.compile(r"^example/"),
        "a stranger's repository, whose workflows would get roles in this account",
        "write OWNER/NAME of yours",
    ),
    (re.compile(r"(^|[.@/])example\.(com|org|net)\b"), "a name for documentation (RFC 2606)", "write your own"),
    (re.compile(r"EXAMPLE$"), "an id for documentation", "write your own"),
    (re.compile(rf"\b{EXAMPLE_ACCOUNT}\b"), "another account's", "write your own account's"),
)


def leftover_examples(values: Mapping[str, Any]) -> Iterator[Refusal]:
    """Every example value left in a configuration, by key. To be called only for a real account."""
    for key, value in _leaves("", values):
        for pattern, problem, fix in _PATTERNS:
            if pattern.search(value):
                yield Refusal(key, f"{value} is the example that the file came with: {problem}", fix)
                break
        else:
            if _documentation(value):
                yield Refusal(
                    key, f"{value} is the example that the file came with: nobody has these addresses", "write your own networks"
                )


def _documentation(value: str) -> bool:
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        return False
    return any(network.overlaps(one) and network.prefixlen >= one.prefixlen for one in _NETWORKS)


def _leaves(key: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, each in cast(Mapping[str, object], value).items():
            yield from _leaves(f"{key}.{name}" if key else name, each)
    elif isinstance(value, Sequence):
        for each in cast(Sequence[object], value):
            yield from _leaves(key, each)
