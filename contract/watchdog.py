"""Decides when the watchdog must return a release's traffic to the active color, because its releaser is gone or users suffer.

Pure functions that use the standard library alone: AWS Lambda runs this file unchanged (infra/platform/ingress/watchdog.py), and
a laptop's watchdog imports it (teal/release/watchdog.py). A `record` is the release record as parsed JSON, in the form of
`teal.record.model.Record`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

# Users of a color count as suffering when one request in five fails, when at least 20 failed, and when far more fail than before
# the release.
FAILED_SHARE: Final = 0.2
FAILED_LEAST: Final = 20  # requests
# How far the failing share must be above the share before the release began: a release that repairs a broken service must not be
# stopped.
WORSE_BY: Final = 0.1

# How long a laptop's watchdog leaves an abandoned release to a person before it ends the release itself. The first is for a
# release that is rolling back: its users are safe, and a person may want to look at the new color first.
END_SECONDS: Final = 30.0
# The second is for a release that no user met, or that is promoted: a person may be about to type `teal resume`.
ABANDONED_SECONDS: Final = 120.0


# A real lease is far shorter (120 s, on a laptop 10 s; a living releaser renews its own). A lease that ends later than this was
# stamped before the clock was set back, and is ignored: a dead releaser's lease would otherwise block the watchdog for as long as
# the clock was wrong.
LONGEST_LEASE_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class UserOutcomes:
    """How many requests of users one color answered (`asked`), and how many of those failed with a 5xx (`failed`)."""

    failed: int
    asked: int

    @property
    def share(self) -> float:
        return self.failed / self.asked if self.asked else 0.0


NOBODY: Final = UserOutcomes(0, 0)


def users_fail_more(now: UserOutcomes, before: UserOutcomes) -> bool:
    """Whether clearly more requests to the active color fail now than before the release."""
    return now.failed >= FAILED_LEAST and now.share >= FAILED_SHARE and now.share >= before.share + WORSE_BY


def is_over(expires_at: datetime, now: datetime) -> bool:
    """Whether a lease has expired, or expires so late that it was stamped by a wrong clock."""
    return not 0 < (expires_at - now).total_seconds() <= LONGEST_LEASE_SECONDS


def is_unheld(record: Mapping[str, Any], now: datetime) -> bool:
    """Whether a release is under way without a valid lease."""
    lease = record.get("lease")
    return record.get("release") is not None and (lease is None or is_over(datetime.fromisoformat(str(lease["expires_at"])), now))


def is_promoted(record: Mapping[str, Any]) -> bool:
    """Whether the release under way has become the active color."""
    release = record.get("release")
    return release is not None and record.get("active") == release["target"]


def reason_to_return(
    record: Mapping[str, Any], new_share: int, now: datetime, users: UserOutcomes = NOBODY, before: UserOutcomes = NOBODY
) -> str | None:
    """The reason why all requests must return to the active color at once; None while there is none.

    `new_share`: the new color's share of the requests, in percent. `users` and `before`: the outcomes of requests to the active
    color, recently and before the release.
    """
    release, active = record.get("release"), record.get("active")
    if release is None or active is None or is_promoted(record):
        return None  # no color served before, or the new color is already the active one
    at = f"{release['id']} at {release['step']}"
    if is_unheld(record, now) and new_share > 0:
        return f"the releaser of {at} gave no sign of life while {release['target']} had {new_share} % of the requests"
    if release["phase"] != "RollingBack" and users_fail_more(users, before):
        return f"{users.failed} of {users.asked} requests to {active} failed during {at}"
    return None


def given_back(record: Mapping[str, Any], why: str) -> dict[str, Any]:
    """The record after the traffic is back: without a lease, and with a new generation, so that
    a releaser that was only paused stops."""
    release = {**record["release"], "phase": "RollingBack", "note": f"watchdog: {why}"}
    return {**record, "release": release, "lease": None, "generation": record["generation"] + 1}


def patience_seconds(record: Mapping[str, Any]) -> float:
    """How long, in seconds, a release without a valid lease is left to a person."""
    release: Mapping[str, Any] = record.get("release") or {}
    return END_SECONDS if release.get("phase") == "RollingBack" else ABANDONED_SECONDS


def will_do(record: Mapping[str, Any], new_share: int) -> str:
    """The next action of a laptop's watchdog for a release without a valid lease, in words for `teal status`."""
    if is_promoted(record):
        return f"the watchdog finishes it when nobody has for {ABANDONED_SECONDS:.0f} s"
    if record.get("active") is not None and new_share:
        return f"the watchdog gives {record['active']} all requests within seconds"
    return f"the watchdog undoes it when nobody has for {patience_seconds(record):.0f} s"
