"""What becomes of the alerts of a Prometheus while something is wrong: every state of each, in order, as a loop beside the test sees it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.node.prometheus import Prometheus

SILENT: Final = "silent"  # neither pending nor firing any more
WHOLE: Final = ["pending", "firing", SILENT]
_LOOK_SECONDS: Final = 0.3  # a tenth of the time between two judgements


@dataclass
class AlertLog:
    """`states`: of each alert that was ever raised, by its name and, in braces, what its expression groups by. `fired`: what Prometheus would have
    told its receiver of each that fired."""

    prometheus: Prometheus
    states: dict[str, list[str]] = field(default_factory=dict)
    fired: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _began: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                found = {_name(one["labels"]): one for one in self.prometheus.raised()}
            except httpx.HTTPError as error:  # a busy machine; what changed is seen at the next look
                print(f"Prometheus said nothing of its alerts: {error!r}")
                continue
            for name, one in found.items():
                self._see(name, one["state"])
                if one["state"] == "firing":
                    self.fired[name] = one
            for name in self.states.keys() - found.keys():
                self._see(name, SILENT)

    def stop(self) -> None:
        self._stop.set()

    def now(self, name: str) -> str:
        return self.states.get(name, [SILENT])[-1]

    def _see(self, name: str, state: str) -> None:
        known = self.states.setdefault(name, [])
        if known[-1:] != [state]:
            known.append(state)
            print(f"{time.monotonic() - self._began:5.1f} s: {name} is {state}")


def _name(labels: Mapping[str, str]) -> str:
    by = ",".join(f"{key}={value}" for key, value in sorted(labels.items()) if key not in ("alertname", "severity", "slo"))
    return labels["alertname"] + (f"{{{by}}}" if by else "")
