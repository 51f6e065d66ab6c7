"""No secret of a user's key is written to the logs."""

from __future__ import annotations

from typing import Final

from teal.release.probes.visit import Probe, ProbeVisit, WrongBehaviour


def ask(visit: ProbeVisit) -> None:
    """Check that the bound key is not in the logs.
    It is sent with every request of the other tenant, and the log lines of a request are written when it ends."""
    if visit.logged is None or not visit.secret:
        return
    visit.bound.call("POST", "/v1/search", json={"query": "Is a key written to the log?"})
    visit.bound.call("GET", "/v1/documents")
    visit.wait()
    if visit.logged(visit.secret):
        raise WrongBehaviour("the key of a request stands in its logs")


LOGS: Final = Probe("logs", "no key of a request is written to the logs", ask, always=True, again=False)
