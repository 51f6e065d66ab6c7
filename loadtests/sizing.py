"""Measures what a user costs the load generator: `python -m loadtests.sizing --host https://localhost:9443 --ca FILE`.
Prints JSON lines.

Runs Locust in one process with more and more users of the default mix, and reads its memory and CPU once all are spawned. The
cost of a user is computed from the difference between the fewest and the most users, so that Python and its libraries do not
count. `LOCUST_LOAD_KEYS` contains a key, as for a load test.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

from loadtests.checked import read_result
from loadtests.measured import QUESTIONS

LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")
SPAWN_SECONDS: Final = 20.0  # until all users are spawned: a TLS handshake costs both sides a millisecond or two
SETTLE_SECONDS: Final = 8.0  # in addition, until most have sent a request, which opens their connection
LOOK_SECONDS: Final = 0.5
WORKER_CPU: Final = 0.5  # of a core: above it greenlets wait for each other and the generator is late
WORKER_MEMORY: Final = 0.8  # of a worker's memory
SAME_PACE: Final = (
    0.8  # of the questions that a user of the smallest run asks: users who wait for a slow service cost less than they would
)


@dataclass(frozen=True, slots=True)
class SizingRun:
    """The measurements of one run after its users had settled. `cpu`: cores in use."""

    users: int
    memory_mib: float
    cpu: float
    questions_per_second: float
    requests_per_second: float
    late_p99_ms: float | None


@dataclass(frozen=True, slots=True)
class UserCost:
    """The cost of one more user, and how many users a worker with `memory_mib` and one core can run."""

    memory_kib: float
    cpu_ms_a_second: float
    process_mib: float
    users_by_memory: int
    users_by_cpu: int


def user_cost(low: SizingRun, high: SizingRun, memory_mib: float) -> UserCost:
    """The cost, from two levels of users. Pure.
    Raises ValueError when more users cost nothing or each asked less, which is no valid measurement."""
    if high.questions_per_second / high.users < SAME_PACE * low.questions_per_second / low.users:
        raise ValueError(
            f"each of {high.users} users asked less than each of {low.users}: the service or this machine was the limit; take fewer"
        )
    more = high.users - low.users
    each_mib, each_cpu = (high.memory_mib - low.memory_mib) / more, (high.cpu - low.cpu) / more
    if each_mib <= 0 or each_cpu <= 0:
        raise ValueError(f"{high.users} users cost no more than {low.users}: measure with more of them, or for longer")
    process_mib = low.memory_mib - each_mib * low.users
    return UserCost(
        memory_kib=round(each_mib * 1024, 1),
        cpu_ms_a_second=round(each_cpu * 1000, 3),
        process_mib=round(process_mib, 1),
        users_by_memory=int((memory_mib * WORKER_MEMORY - process_mib) / each_mib),
        users_by_cpu=int(WORKER_CPU / each_cpu),
    )


def measure(host: str, ca: str, users: int, seconds: float) -> SizingRun:
    """Run Locust in one process and measure it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--headless", "--only-summary", "--loglevel", "ERROR",
                   "--host", host, "--load-ca", ca, "--load-out", folder, "--load-name", "run",
                   "-u", str(users), "-r", str(users / SPAWN_SECONDS), "-t", f"{SPAWN_SECONDS + SETTLE_SECONDS + seconds:.0f}s"]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # noqa: S603
        said, watched = process.stdout, psutil.Process(process.pid)
        for line in said or ():
            if line.startswith(b'{"step": "running"'):  # the first progress row: the run began two seconds ago
                break
        time.sleep(SPAWN_SECONDS + SETTLE_SECONDS - 2)
        began, cpu, most = time.monotonic(), sum(watched.cpu_times()[:2]), 0
        while (took := time.monotonic() - began) < seconds - 1:
            most = max(most, watched.memory_info().rss)
            time.sleep(LOOK_SECONDS)
        cpu = sum(watched.cpu_times()[:2]) - cpu
        process.communicate()
        found = read_result(Path(folder, "run", "result.json"))
    settled = [one for one in found.windows if one.from_seconds >= SPAWN_SECONDS + SETTLE_SECONDS and one.stage is not None]
    length = sum(one.seconds for one in settled) or 1.0
    asked = sum(one.counts[name].requests for one in settled for name in QUESTIONS if name in one.counts)
    sent = sum(sum(one.generator.sent.values()) for one in settled)
    return SizingRun(users, round(most / 2**20, 1), round(cpu / took, 3), round(asked / length, 1), round(sent / length, 1),
                 found.generator.late_p99_ms)  # fmt: skip


def main() -> int:
    """The command; see the module's docstring. Returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.sizing", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--host", required=True)
    parser.add_argument("--ca", default="", help="PEM file to verify its certificate against.")
    parser.add_argument("--users", default="50,250", help="Numbers of users, the fewest first, comma between.")
    parser.add_argument("--seconds", type=float, default=15.0, help="Of each, once its users have settled.")
    parser.add_argument("--memory-mib", type=float, default=512.0, help="Of a worker.")
    given = parser.parse_args()
    levels = []
    for users in (int(one) for one in given.users.split(",")):
        levels.append(measure(given.host, given.ca, users, given.seconds))
        sys.stdout.write(json.dumps(asdict(levels[-1])) + "\n")
        sys.stdout.flush()
    try:
        sys.stdout.write(json.dumps(asdict(user_cost(levels[0], levels[-1], given.memory_mib))) + "\n")
    except ValueError as error:
        sys.stdout.write(json.dumps({"error": {"code": "not-measured", "what": str(error)}}) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
