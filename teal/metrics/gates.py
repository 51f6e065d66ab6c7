"""The gates of a release. Each is a share of bad events among all, with its counters, how they are read, and its limits.

To add a gate, add one entry to GATES: the releaser then reads, sums, judges and shows it. docs/releases.md explains gates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from teal.metrics.counters import CounterReader, CounterTotal, SlowerThan


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter: its name in `Counts`, and how it is read."""

    name: str
    read: CounterReader


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate. `margin`: the largest difference of the two colors' shares that is acceptable. `limit`: a larger share fails even
    if the active color has it too; None when only the comparison decides. `required`: no release passes without samples of it.
    `waits`: a release waits for samples of it once one color has some."""

    name: str
    bad: Counter
    total: Counter
    margin: float
    limit: float | None
    required: bool = False
    waits: bool = True


REQUESTS: Final = Counter("requests", CounterTotal("teal_http_requests", routes=True, lazy=True))
ERRORS: Final = Counter("errors", CounterTotal("teal_http_requests", {"status": "5.."}, routes=True, lazy=True))
STREAMS: Final = Counter("streams", CounterTotal("teal_streams"))
ANSWERS: Final = Counter("answers", CounterTotal("teal_answers", lazy=True))

# Gates over all requests, probes included. A release waits for their samples,
# and the releaser sends probes when users send too few.
EVERYBODY: Final = (
    Gate("errors", ERRORS, REQUESTS, margin=0.002, limit=0.02, required=True),
    Gate("slow", Counter("slow", SlowerThan("teal_http_request_seconds")), REQUESTS, margin=0.01, limit=None, required=True),
    Gate(
        "empty retrieval",
        Counter("empty", CounterTotal("teal_retrieval_empty", lazy=True)),
        Counter("searches", CounterTotal("teal_retrievals")),
        margin=0.02,
        limit=None,  # before anything is indexed, every search of both colors finds nothing
    ),
    Gate(
        "model 429",
        Counter("rate_limited", CounterTotal("teal_model_rate_limited", lazy=True)),
        Counter("model_calls", CounterTotal("teal_model_calls", lazy=True)),
        margin=0.02,
        limit=0.3,
    ),
    Gate("broken streams", Counter("broken_streams", CounterTotal("teal_streams_broken")), STREAMS, margin=0.005, limit=0.02),
    Gate(
        "unfinished streams",
        Counter("unfinished_streams", CounterTotal("teal_streams_unfinished")),
        STREAMS,
        margin=0.02,
        limit=None,
    ),
    Gate(
        "I don't know",
        Counter("unanswered", CounterTotal("teal_answers", {"grounded": "false"}, lazy=True)),
        ANSWERS,
        margin=0.05,
        limit=None,
        waits=False,
    ),
    Gate(
        "uncited sentences",
        Counter("dropped_claims", CounterTotal("teal_dropped_claims")),
        Counter("claims", CounterTotal("teal_claims")),
        margin=0.05,
        limit=None,
        waits=False,
    ),
)

# Gates over users' requests only, by kind, so that faults of one kind are not hidden by the others,
# nor users' faults by the probes.
USER_ROUTES: Final = {
    "search": "/v1/search",
    "ask": "/v1/ask|/v1/chat/completions",
    "upload": "/v1/documents/upload|/v1/documents/.document_id./upload",
    "documents": "/v1/documents|/v1/documents/.document_id.(/retry|/passages)?|/v1/collections|/v1/collections/.name.|/v1/models",  # a dot for each brace of {document_id}
    "page": "/|/errors|/v1/session|/v1/status",
}


def _by_users(kind: str, routes: str) -> tuple[Gate, ...]:
    """Three gates for one kind of requests: failed (5xx), refused (4xx, compared with the active color only), and slow."""
    of = {"by": "user", "route": routes}
    total = Counter(f"{kind}_users", CounterTotal("teal_http_requests", of, lazy=True))
    failed = Counter(f"{kind}_users_failed", CounterTotal("teal_http_requests", {**of, "status": "5.."}, lazy=True))
    refused = Counter(f"{kind}_users_refused", CounterTotal("teal_http_requests", {**of, "status": "4.."}, lazy=True))
    late = Counter(f"{kind}_users_late", SlowerThan("teal_http_request_seconds", of))
    return (
        Gate(f"{kind}: failed", failed, total, margin=0.005, limit=0.05, waits=False),
        Gate(f"{kind}: refused", refused, total, margin=0.02, limit=None, waits=False),
        Gate(f"{kind}: slow", late, total, margin=0.02, limit=None, waits=False),
    )


GATES: Final = (*EVERYBODY, *(gate for kind, routes in USER_ROUTES.items() for gate in _by_users(kind, routes)))


def counters(gates: Iterable[Gate]) -> tuple[Counter, ...]:
    """Every counter that the gates need, once."""
    return tuple({counter.name: counter for gate in gates for counter in (gate.bad, gate.total)}.values())
