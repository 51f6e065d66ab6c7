"""Measures what a user costs the load generator: `python -m loadtests.sizing --host https://localhost:9443 --ca FILE`.
Prints JSON lines.

Runs Locust in one process with more and more users of the default mix, and reads its memory and CPU once all are spawned. The
cost of a user is computed from the difference between the fewest and the most users, so that Python and its libraries do not
count. `LOCUST_LOAD_KEYS` contains a key, as for a load test.
Exit 1: the measurement is not valid; 2: the arguments or the service must be changed first.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

from loadtests import preflight, questions
from loadtests.__main__ import KEYS, headers_of
from loadtests.checked import read_result
from loadtests.measured import QUESTIONS, covered_seconds

LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")
SPAWN_SECONDS: Final = 20.0  # until all users are spawned: a TLS handshake costs both sides a millisecond or two
SETTLE_SECONDS: Final = 8.0  # in addition, until most have sent a request, which opens their connection
LOOK_SECONDS: Final = 0.5
LEAST_SECONDS: Final = (
    3.0  # Locust needs the last second to end; in two seconds of CPU time a clock tick of 10 ms is half a percent
)
WORKER_CPU: Final = 0.5  # of a core: above it greenlets wait for each other and the generator is late
WORKER_MEMORY: Final = 0.8  # of a worker's memory
SAME_PACE: Final = (
    0.8  # of the questions that a user of the smallest run asks: users who wait for a slow service cost less than they would
)


class SizingFailed(Exception):
    """Locust ended before anything was measured. The text says why."""


@dataclass(frozen=True, slots=True)
class SizingRun:
    """The measurements of one run after its users had settled. `cpu`: cores in use; `descriptors`: open files at most, a connection for each user."""

    users: int
    memory_mib: float
    cpu: float
    questions_per_second: float
    requests_per_second: float
    late_p99_ms: float | None
    descriptors: int = 0
    cpu_ms_a_request: float | None = None


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
    if not low.questions_per_second:
        raise ValueError(f"{low.users} users asked nothing: measure for longer")
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
    """One run of Locust, alone in its process. Raises SizingFailed, with Locust's own words, where it ends before its time."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--headless", "--only-summary", "--loglevel", "ERROR",
                   "--host", host, "--load-ca", ca, "--load-out", folder, "--load-name", "run",
                   "-u", str(users), "-r", str(users / SPAWN_SECONDS), "-t", f"{SPAWN_SECONDS + SETTLE_SECONDS + seconds:.0f}s"]  # fmt: skip
        log = Path(folder, "locust.log")
        with log.open("w", encoding="utf-8") as stderr:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr)  # noqa: S603
        try:
            # The first such line comes two seconds after the run has begun.
            if not any(line.startswith(b'{"step": "running"') for line in process.stdout or ()):
                raise SizingFailed(_why_it_ended(process.wait(), log))
            time.sleep(SPAWN_SECONDS + SETTLE_SECONDS - 2)
            watched, most, files = psutil.Process(process.pid), 0, 0
            began, cpu = time.monotonic(), sum(watched.cpu_times()[:2])
            while (took := time.monotonic() - began) < seconds - 1 and process.poll() is None:
                most, files = max(most, watched.memory_info().rss), max(files, watched.num_fds())
                time.sleep(LOOK_SECONDS)
            if process.poll() is not None:
                raise SizingFailed(_why_it_ended(process.returncode, log))
            cpu = sum(watched.cpu_times()[:2]) - cpu
            process.communicate()
            if not (result := Path(folder, "run", "result.json")).is_file():
                raise SizingFailed(_why_it_ended(process.returncode, log))
            found = read_result(result)
        except psutil.NoSuchProcess:
            raise SizingFailed(_why_it_ended(process.wait(), log)) from None
        finally:
            if process.poll() is None:  # this was interrupted
                process.kill()
                process.wait()
    settled = [one for one in found.windows if one.from_seconds >= SPAWN_SECONDS + SETTLE_SECONDS and one.stage is not None]
    length = covered_seconds(settled) or 1.0
    asked = sum(one.counts[name].requests for one in settled for name in QUESTIONS if name in one.counts)
    sent = sum(sum(one.generator.sent.values()) for one in settled)
    return SizingRun(users, round(most / 2**20, 1), round(cpu / took, 3), round(asked / length, 1), round(sent / length, 1),
                 found.generator.late_p99_ms, files, round(cpu / took / (sent / length) * 1000, 2) if sent else None)  # fmt: skip


def _why_it_ended(code: int, log: Path) -> str:
    """Locust's last line: what is wrong with an argument, or the end of a traceback."""
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    return f"Locust ended with {code} before anything was measured: {said[0]}"


def user_levels(given: str) -> list[int]:
    """Numbers of users in rising order. A cost is the difference between two of them, so there must be two different ones."""
    try:
        found = sorted({int(one) for one in given.split(",")})
    except ValueError:
        found = []
    if len(found) < 2 or found[0] < 1:
        raise argparse.ArgumentTypeError(f"{given!r}: at least two different numbers of 1 or more, comma between, such as 50,250")
    return found


def measured_seconds(given: str) -> float:
    """Seconds of each level that are measured."""
    try:
        found = float(given)
    except ValueError:
        found = 0.0
    if not LEAST_SECONDS <= found < float("inf"):
        raise argparse.ArgumentTypeError(f"{given!r}: a number of seconds, {LEAST_SECONDS:g} or more")
    return found


def main(given: Sequence[str] | None = None) -> int:
    """The command; see the module's docstring. Returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.sizing", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--host", required=True)
    parser.add_argument("--ca", default="", help="PEM file to verify its certificate against.")
    parser.add_argument("--users", default="50,250", type=user_levels, help="Numbers of users, comma between.")
    parser.add_argument("--seconds", default="15", type=measured_seconds, help="Of each, once its users have settled; 3 or more.")
    parser.add_argument("--memory-mib", type=float, default=512.0, help="Of a worker.")
    options = parser.parse_args(given)
    if not os.environ.get(KEYS):
        parser.error(f"{KEYS} is not set: API keys with the role writer, comma between")
    levels = []
    try:
        headers = headers_of(os.environ[KEYS].split(",")[0])
        preflight.check(
            options.host, Path(options.ca) if options.ca else None, headers, questions.load_questions(questions.DEFAULT)
        )
        for users in options.users:
            levels.append(measure(options.host, options.ca, users, options.seconds))
            _print(asdict(levels[-1]))
    except (preflight.NotReady, SizingFailed, ValueError) as error:
        _print({"error": {"code": "bad-input", "what": str(error), "where": options.host}})
        return 2
    try:
        _print(asdict(user_cost(levels[0], levels[-1], options.memory_mib)))
    except ValueError as error:
        _print({"error": {"code": "not-measured", "what": str(error)}})
        return 1
    return 0


def _print(row: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
