"""The worker of each color, which indexes accepted documents."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import cast

import httpx
from prometheus_client.parser import text_string_to_metric_families

from teal.laptop.parts.part import Part, PartContext
from teal.laptop.program import Program
from teal.laptop.secrets import metrics_headers
from teal.record.model import Color

NICE = 5  # on a busy machine it gets a third of a request's share: documents can wait longer than people
STOP_SECONDS = 30
ANSWER_SECONDS = 3.0
STALE_SECONDS = 15.0  # five missed rounds of its loop
# Before its first round the worker waits for catalog and search, and on a busy machine for a processor.
STARTING_SECONDS = 60.0
HEARTBEAT = "teal_worker_last_tick_timestamp_seconds"
AGE = "teal_worker_round_age_seconds"  # by the monotonic clock, which does not change when the wall clock is set
STARTED = "process_start_time_seconds"


class WorkerPart(Part):
    """One worker for each color. It is healthy when it went round its loop lately; that its process exists is not enough."""

    name = "worker"

    def color_programs(self, place: PartContext, color: Color, env: Mapping[str, str], python: str) -> tuple[Program, ...]:
        argv = (python, "-m", "app.worker", "--metrics-port", str(place.state.ports.worker(color)))
        environment = {**env, "TEAL_SLOT": "0"}
        home = str(place.layout.home)
        return (Program(f"{color}-worker", argv, environment, home, stop_seconds=STOP_SECONDS, nice=NICE),)

    def owns(self, program: str) -> bool:
        return program.endswith("-worker")

    def ready(self, place: PartContext, program: str) -> tuple[bool, str]:
        return True, "running"  # it takes its first job when there is one

    def health(self, place: PartContext, program: str) -> tuple[bool, str]:
        port = place.state.ports.worker(cast("Color", program.removesuffix("-worker")))
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=ANSWER_SECONDS, trust_env=False,
                               headers=metrics_headers(place.layout))  # fmt: skip
        except httpx.ConnectError:
            return True, "starting"  # it serves its metrics before anything else; supervisor restarts it when it ends
        except httpx.HTTPError as error:
            return False, f"runs and does not answer ({type(error).__name__}): it is frozen"
        if answer.status_code != 200:
            token = place.layout.metrics_token
            return (
                False,
                f"runs and does not tell (HTTP {answer.status_code}): {token} is not what it was started with; teal up gives it that one",
            )
        return heartbeat(answer.text, time.time())


def heartbeat(exposed: str, now: float) -> tuple[bool, str]:
    """Whether the worker went round its loop lately. `exposed`: its metrics; `now`: Unix seconds."""
    found = {sample.name: sample.value for family in text_string_to_metric_families(exposed) for sample in family.samples}
    last, started = found.get(HEARTBEAT, 0.0), found.get(STARTED, 0.0)
    if not last:
        up = now - started
        return up < STARTING_SECONDS, f"waits for its first round since {up:.0f} s"
    age = found[AGE] if AGE in found else max(0.0, now - last)  # workers of earlier versions export only the moment
    if age > STALE_SECONDS:
        return False, f"runs, but its last round was {age:.0f} s ago: it is stuck, or waits for a part that is away"
    return True, f"last round {age:.0f} s ago"
