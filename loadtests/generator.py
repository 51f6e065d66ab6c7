"""Monitors the load generator itself: when each request was due and sent, how late its greenlets are woken,
what it could not send.

Each process counts into one `Meter`. Locust's own reports take the counts to the master (`report_to_master`, `worker_report`), which adds them up.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, Final

import gevent
from locust import log
from locust.env import Environment
from locust.runners import CPU_MONITOR_INTERVAL, MasterRunner, Runner

from loadtests.measured import GeneratorHealth
from loadtests.meter import METER
from loadtests.report_times import ReportTimes

KEY: Final = "teal"  # our key in Locust's reports
LOOK_SECONDS: Final = 0.05  # between two samples of the event loop's lag: twenty a second, 0.1 % of a core
# Over which the CPU is taken. Locust's own figure comes every ten seconds, and its first is always 0: a stage would have that of the one before.
CPU_SECONDS: Final = 1.0


class GatheredCounts:
    """The counts of all processes, kept by the master or the only process."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._workers: dict[str, GeneratorHealth] = {}
        self._times = ReportTimes()

    def reset(self) -> None:
        """A run begins. The counts of this process belong to the run before, which the first sample must not have."""
        self._workers.clear()
        self._times.begin()
        METER.reset()

    def take(self, client_id: str, data: dict[str, Any]) -> None:
        """Handle Locust's event `worker_report`."""
        if KEY in data:
            news = GeneratorHealth.model_validate(data[KEY])
            before = self._workers.get(client_id) or GeneratorHealth()
            # `news` comes first, because its states are the latest.
            self._workers[client_id] = news.plus(before)
            self._times.came(client_id)

    def now(self) -> GeneratorHealth:
        """The generator's health since the start of the run. CPU is that of the busiest process in its last second."""
        runner = self._environment.runner
        if not isinstance(runner, MasterRunner):
            METER.counted.died = int(bool(log.unhandled_greenlet_exception))
            return METER.counted.model_copy(deep=True, update={"covered_seconds": self._times.seconds()})
        found = GeneratorHealth(died=int(bool(log.unhandled_greenlet_exception)))
        for one in self._workers.values():
            found = found.plus(one)
        streams = sum(one.streams for one in self._workers.values())
        busiest = max((one.cpu_percent for one in self._workers.values()), default=0.0)
        covered = self._times.covered_seconds(runner.clients)
        return found.model_copy(update={"streams": streams, "cpu_percent": busiest, "covered_seconds": covered})


def report_to_master(client_id: str, data: dict[str, Any]) -> None:
    """Handle Locust's event `report_to_master`: adds this process's new counts to Locust's report."""
    METER.counted.died = int(bool(log.unhandled_greenlet_exception))
    data[KEY] = METER.news()


def keep_monitoring(monitor: Callable[[Runner], None]) -> Callable[[Runner], None]:
    """Locust's own monitor of CPU and memory, begun again after an error of the machine: it reads files, and without a free descriptor
    it would die, and with it the run would count as one whose load test broke."""

    def monitored(runner: Runner) -> None:
        while True:
            with contextlib.suppress(OSError):
                monitor(runner)
            gevent.sleep(CPU_MONITOR_INTERVAL)  # its first act is to open a file, which may fail again at once

    return monitored


def sample_lag() -> None:
    """Sample the loop's lag, and this process's CPU, until killed."""
    since, used = time.perf_counter(), time.process_time()
    while True:
        before = time.perf_counter()
        gevent.sleep(LOOK_SECONDS)
        now = time.perf_counter()
        METER.lagged(max(0.0, now - before - LOOK_SECONDS))
        if now - since >= CPU_SECONDS:
            METER.counted.cpu_percent = round(100 * (time.process_time() - used) / (now - since), 1)
            since, used = now, time.process_time()
