"""Runs `python -m loadtests`, which `teal` does not import,
while a watcher thread records what can be observed of the service."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import psutil

from teal.errors import BAD_INPUT, BadInput, NeedsHuman, OperatorError
from teal.events import Event
from teal.load import bystander
from teal.load.bystander import StopWhen
from teal.load.place import LoadTarget

INSTALL: Final = "make .venv/.installed-load"
NEEDED: Final = ("locust", "matplotlib", "yaml")
_KEYS: Final = "LOCUST_LOAD_KEYS"  # what loadtests/__main__.py reads
_HEADERS: Final = "LOCUST_LOAD_HEADERS"
_LAST_LINES: Final = 3
_LATE_MS: Final = 50  # only an early warning; the limit that decides is in loadtests/thresholds.yaml
_ENDED: Final = (-signal.SIGINT, -signal.SIGTERM)  # ended by a signal before it had a handler
# For a load test to end that was told to: its users and workers take 15 to 36 s (loadtests/table.py), its report up to 60 (loadtests/locustfile.py).
END_SECONDS: Final = 120.0
_UNDO_SECONDS: Final = 2.0  # for a watcher to finish its look


class ThresholdBreached(OperatorError):
    """The service did not keep a threshold."""

    code = "load-breached"


class LoadFailed(OperatorError):
    """The load test itself did not work."""

    code = "load-failed"


class Interrupted(OperatorError):
    """The run was ended early, by a person or a stop condition. The measurements until then are judged and reported."""

    code = "load-interrupted"
    exit_code = 130  # as shells report a process that Ctrl-C ended


@dataclass(frozen=True, slots=True)
class LoadTest:
    """One load test. `options` go to `python -m loadtests run` as they are, `locust` to Locust. `stop_when`: what ends it early."""

    shape: str
    out: Path
    options: tuple[str, ...] = ()
    locust: tuple[str, ...] = ()
    stop_when: StopWhen | None = None


def require_installed() -> None:
    """Raise BadInput when Locust is missing: `make up` does not install it."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise BadInput(f"Load tests need {', '.join(missing)}", where=sys.executable, next=INSTALL)


def new_folder(wanted: Path) -> Path:
    """A folder of this name that no other run has, with a number appended if one began in the same second."""
    for number in itertools.count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError("counting has no end")


def run_load_test(place: LoadTarget, test: LoadTest) -> Iterator[Event]:
    """Progress, verdicts and the result. Raises ThresholdBreached, NeedsHuman for too few samples, Interrupted, BadInput, LoadFailed."""
    is_new = not test.out.exists() or not any(test.out.iterdir())
    test.out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "loadtests", "run", test.shape, "--host", place.url, "--out", str(test.out),
               "--about", json.dumps(dict(place.about)), *(("--ca", str(place.ca)) if place.ca else ()), *test.options,
               *(("--", *test.locust) if test.locust else ())]  # fmt: skip
    over, stopped = threading.Event(), list[str]()
    env = os.environ | {_KEYS: ",".join(place.keys), _HEADERS: json.dumps(dict(place.headers))}
    with (test.out / "stderr.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603

    def stop(why: str) -> None:
        stopped.append(why)
        process.send_signal(signal.SIGTERM)

    said = process.stdout or io.StringIO()
    watchers = [threading.Thread(target=_watch, args=(place, test.out / "seen.jsonl", over), name="watch", daemon=True)]
    if test.stop_when is not None:
        watchers.append(
            threading.Thread(target=bystander.probe, args=(place, test.stop_when, over, stop), name="bystander", daemon=True)
        )
    for watcher in watchers:
        watcher.start()
    rows: list[dict[str, Any]] = []
    try:
        while line := _line(said):
            row = json.loads(line)
            rows.append(row)
            if (event := _event(row)) is not None:
                yield event
        code = process.wait()
    finally:
        over.set()
        if process.poll() is None:
            _end_program(process)
    try:
        _end(code, rows, test, stopped[0] if stopped else "")
    except (BadInput, Interrupted):
        if is_new:
            _undo(test.out, watchers)
        raise


def _end_program(process: subprocess.Popen[str]) -> None:
    """Ask the load test to end, and kill it and Locust, which has a session of its own, when it has not ended after END_SECONDS."""
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=END_SECONDS)  # reads on: a full pipe would hold up the report
    except subprocess.TimeoutExpired:
        parent = psutil.Process(process.pid)  # not reaped yet, so the number is still its own
        for one in (*parent.children(recursive=True), parent):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()


def _undo(folder: Path, watchers: Sequence[threading.Thread]) -> None:
    """Remove the run's new folder if it contains only logs, because nothing was measured."""
    for watcher in watchers:
        watcher.join(_UNDO_SECONDS)
    if not (folder / "result.json").exists():
        for name in ("stderr.log", "seen.jsonl", "locust.log"):
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the folder contains other files
            folder.rmdir()


def _line(said: IO[str]) -> str:
    """The next line of the load test's output.
    Ctrl-C ends only the load; reading goes on, so that the measurements are still judged."""
    while True:
        try:
            return said.readline()
        except KeyboardInterrupt:
            continue  # the terminal sent it to the load test too, which is finishing


def _watch(place: LoadTarget, path: Path, over: threading.Event) -> None:
    with path.open("w", encoding="utf-8") as file:
        while not over.wait(place.look_seconds):
            try:
                found = place.look()
            except OperatorError:  # the load test itself will show that the load balancer does not answer
                continue
            if found:
                file.write(json.dumps({"at": time.time(), **found}) + "\n")
                file.flush()


def _event(row: Mapping[str, Any]) -> Event | None:
    match row.get("step"):
        case "running":
            words = f"{row['users']} users, {row['questions_per_second']:g} questions/s, search p95 {_ms(row['search_p95_ms'])}, first event p95 {_ms(row['first_event_p95_ms'])}, {row['failed']} failed"
            if (late := row.get("late_p99_ms")) is not None and late > _LATE_MS:
                words += f"; the generator is late: p99 {_ms(late)}"
            return Event("running", "progress", words, row["done"], row["total"])
        case "climb":
            return Event("climb", "ok" if row["outcome"] == "breached" else "warn", str(row["detail"]), data={"climb": {**row}})
        case "drain":
            return Event("drain", "ok" if row["drained"] else "warn", str(row["detail"]), data={"drain": {**row}})
        case "threshold":
            detail = f"{row['outcome']}: {row['says']}: {row['bad']} of {row['samples']}"
            return Event("threshold", "ok" if row["outcome"] == "kept" else "warn", detail, data={"threshold": {**row}})
        case "failure":
            return Event("failure", "warn", f"{row['count']} x {row['requests']}: {row['reason']}", data={"failure": {**row}})
        case "result":
            return Event("result", "ok" if row["outcome"] == "kept" else "warn", f"{row['outcome']}: {row['page']}",
                         data={name: row[name] for name in ("outcome", "page", "result", "summary", "goodput") if name in row})  # fmt: skip
    return None


def _end(code: int, rows: list[dict[str, Any]], test: LoadTest, stopped: str) -> None:
    error = next((row["error"] for row in rows if "error" in row), None)
    if error is not None:
        kind = BadInput if code == BAD_INPUT else Interrupted if code == Interrupted.exit_code else LoadFailed
        raise kind(str(error["what"]), where=str(error["where"]), next=f"teal load {test.shape} --help")
    result = next((row for row in reversed(rows) if row.get("step") == "result"), None)
    if result is None and code in _ENDED:
        raise Interrupted("Interrupted before anything was measured", where=str(test.out), next=f"teal load {test.shape}")
    if result is None:
        said = (test.out / "stderr.log").read_text(encoding="utf-8").strip().splitlines()[-_LAST_LINES:]
        if code == BAD_INPUT and said:  # argparse prints the usage, and then the error
            said = [said[-1].partition("error: ")[2] or said[-1]]
        kind = BadInput if code == BAD_INPUT else LoadFailed
        raise kind(
            f"The load test ended with {code}: {' '.join(said)}", where=str(test.out / "stderr.log"), next="teal load --help"
        )
    where, why = str(result["page"]), str(result.get("why") or "")
    if stopped or result.get("interrupted") or code == Interrupted.exit_code:
        reason = stopped or "it was ended before its time"
        raise Interrupted(f"Interrupted: {reason}; until then: {result['outcome']}", where=where, next=f"teal load {test.shape}")
    judged = [row for row in rows if row.get("step") == "threshold"]
    bad = "; ".join(f"{row['says']}: {row['bad']} of {row['samples']}" for row in judged if row["outcome"] == result["outcome"])
    match result["outcome"]:
        case "breached":
            raise ThresholdBreached(
                f"Not kept: {bad or why}", where=where, next="open the page; thresholds are in loadtests/thresholds.yaml"
            )
        case "too few":
            more = f"teal load {test.shape} with more --seconds or --scale"
            raise NeedsHuman(f"Too few samples to say: {bad or why}", where=where, next=more)
        case "void":
            more = f"teal load {test.shape} with more --workers, or from another machine"
            raise NeedsHuman(
                f"The load generator was the limit, so nothing is known of the service: {why}", where=where, next=more
            )
        case "failed":
            raise LoadFailed(why, where=where, next=f"teal load {test.shape}")
    if code != 0:
        raise LoadFailed(f"The load test ended with {code}", where=str(test.out), next=f"teal load {test.shape}")


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
