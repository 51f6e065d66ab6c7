"""When somebody who is not its releaser gives a release's traffic back, and why. Pure, and of the standard library alone: AWS Lambda runs
this file as it is (infra/platform/ingress/watchdog.py), a laptop's watchdog imports it (teal/release/watchdog.py).

A record is what the store keeps of it, as JSON says it: `teal.record.model.Record`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

# A color's users suffer when one request in five fails and that is no accident: at 20 failures, and far above what they had before.
FAILED_SHARE: Final = 0.2
FAILED_LEAST: Final = 20  # requests
# So much above the share that failed before the release began: a release that mends a broken service must not be stopped
WORSE_BY: Final = 0.1

# What a laptop's watchdog ends by itself, and how long it leaves that to a person: one who looks at the new color once its users are safe, ...
END_SECONDS: Final = 30.0
# ... or who is about to type `teal resume` for a release that no user met, or that is promoted.
ABANDONED_SECONDS: Final = 120.0


# No lease is nearly as long (120 s, ten on a laptop; a living releaser prolongs its own). One that ends later was written before the clock
# was set back, and says nothing: a dead releaser's would hold the traffic for as long as the clock was wrong.
LONGEST_LEASE_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class UserOutcomes:
    """Requests of users that one color answered, and how many of those failed (5xx)."""

    failed: int
    asked: int

    @property
    def share(self) -> float:
        return self.failed / self.asked if self.asked else 0.0


NOBODY: Final = UserOutcomes(0, 0)


def users_fail_more(now: UserOutcomes, before: UserOutcomes) -> bool:
    """Whether the active color's users fail now as they did not before the release."""
    return now.failed >= FAILED_LEAST and now.share >= FAILED_SHARE and now.share >= before.share + WORSE_BY


def is_over(expires_at: datetime, now: datetime) -> bool:
    """Whether a lease has ended, or ends so late that the clock which stamped it was wrong."""
    return not 0 < (expires_at - now).total_seconds() <= LONGEST_LEASE_SECONDS


def is_unheld(record: Mapping[str, Any], now: datetime) -> bool:
    """Whether a release is under way and nobody's lease on it lives."""
    lease = record.get("lease")
    return record.get("release") is not None and (lease is None or is_over(datetime.fromisoformat(str(lease["expires_at"])), now))


def is_promoted(record: Mapping[str, Any]) -> bool:
    """Whether the release under way has become the active color."""
    release = record.get("release")
    return release is not None and record.get("active") == release["target"]


def reason_to_return(
    record: Mapping[str, Any], new_share: int, now: datetime, users: UserOutcomes = NOBODY, before: UserOutcomes = NOBODY
) -> str | None:
    """Why all requests must go back to the active color at once; None while they need not.

    `new_share`: percent of the requests that the new color has. `users` and `before`: of the active color, lately and before the release.
    """
    release, active = record.get("release"), record.get("active")
    if release is None or active is None or is_promoted(record):
        return None  # nobody served before, or the new color has proven itself
    at = f"{release['id']} at {release['step']}"
    if is_unheld(record, now) and new_share > 0:
        return f"the releaser of {at} gave no sign of life while {release['target']} had {new_share} % of the requests"
    if release["phase"] != "RollingBack" and users_fail_more(users, before):
        return f"{users.failed} of {users.asked} requests to {active} failed during {at}"
    return None


def given_back(record: Mapping[str, Any], why: str) -> dict[str, Any]:
    """The record once the traffic is back: a new generation, so that a releaser that only slept stops, and nobody's lease."""
    release = {**record["release"], "phase": "RollingBack", "note": f"watchdog: {why}"}
    return {**record, "release": release, "lease": None, "generation": record["generation"] + 1}


def patience_seconds(record: Mapping[str, Any]) -> float:
    """How long a release that nobody holds is left to a person."""
    release: Mapping[str, Any] = record.get("release") or {}
    return END_SECONDS if release.get("phase") == "RollingBack" else ABANDONED_SECONDS


def will_do(record: Mapping[str, Any], new_share: int) -> str:
    """What a laptop's watchdog does next about a release that nobody holds, in words for `teal status`."""
    if is_promoted(record):
        return f"the watchdog finishes it when nobody has for {ABANDONED_SECONDS:.0f} s"
    if record.get("active") is not None and new_share:
        return f"the watchdog gives {record['active']} all requests within seconds"
    return f"the watchdog undoes it when nobody has for {patience_seconds(record):.0f} s"
