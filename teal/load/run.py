"""Runs `python -m loadtests` beside a watcher that writes down what can be seen of the service. `teal` imports nothing of it."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from teal.errors import BAD_INPUT, BadInput, NeedsHuman, OperatorError
from teal.load.place import Place
from teal.stack.events import Event

INSTALL: Final = "make .venv/.installed-load"
NEEDED: Final = ("locust", "matplotlib", "yaml")
_KEYS: Final = "TEAL_LOAD_KEYS"  # what loadtests/__main__.py reads
_HEADERS: Final = "TEAL_LOAD_HEADERS"
_LAST_LINES: Final = 3


class Breached(OperatorError):
    """The service did not keep a threshold."""

    code = "load-breached"


class LoadFailed(OperatorError):
    """The load test itself did not work."""

    code = "load-failed"


@dataclass(frozen=True, slots=True)
class Wish:
    """One load test. `options` go to `python -m loadtests run` as they are."""

    shape: str
    out: Path
    options: tuple[str, ...] = ()


def require_installed() -> None:
    """Raises BadInput when Locust is not here: it is no part of what `make up` installs."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise BadInput(f"Load tests need {', '.join(missing)}", where=sys.executable, next=INSTALL)


def run(place: Place, wish: Wish) -> Iterator[Event]:
    """Progress, verdicts and the result. Raises Breached, NeedsHuman for too few samples, BadInput, LoadFailed."""
    wish.out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "loadtests", "run", wish.shape, "--host", place.url, "--out", str(wish.out),
               "--about", json.dumps(dict(place.about)), *(("--ca", str(place.ca)) if place.ca else ()), *wish.options]  # fmt: skip
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(place, wish.out / "seen.jsonl", over), name="watch", daemon=True)
    env = os.environ | {_KEYS: ",".join(place.keys), _HEADERS: json.dumps(dict(place.headers))}
    with (wish.out / "stderr.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603
    said = process.stdout or io.StringIO()
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
            process.send_signal(signal.SIGTERM)
            process.wait(30)  # Locust ends its users and workers
    _end(code, rows, wish)


def _line(said: IO[str]) -> str:
    """The next line. Ctrl-C ends the load and not this: what was measured until then is judged all the same."""
    while True:
        try:
            return said.readline()
        except KeyboardInterrupt:
            continue  # the terminal gave it to the load test as well, which is finishing


def _watch(place: Place, path: Path, over: threading.Event) -> None:
    with path.open("w", encoding="utf-8") as file:
        while not over.wait(place.look_seconds):
            try:
                found = place.look()
            except OperatorError:  # a load balancer that does not answer is what the load test itself will show
                continue
            if found:
                file.write(json.dumps({"at": time.time(), **found}) + "\n")
                file.flush()


def _event(row: Mapping[str, Any]) -> Event | None:
    match row.get("step"):
        case "running":
            words = f"{row['users']} users, {row['questions_per_second']:g} questions/s, search p95 {_ms(row['search_p95_ms'])}, first event p95 {_ms(row['first_event_p95_ms'])}, {row['failed']} failed"
            return Event("running", "progress", words, row["done"], row["total"])
        case "threshold":
            detail = f"{row['outcome']}: {row['says']}: {row['bad']} of {row['samples']}"
            return Event("threshold", "ok" if row["outcome"] == "kept" else "warn", detail, data={"threshold": {**row}})
        case "failure":
            return Event("failure", "warn", f"{row['count']} x {row['requests']}: {row['reason']}", data={"failure": {**row}})
        case "result":
            return Event("result", "ok" if row["outcome"] == "kept" else "warn", f"{row['outcome']}: {row['page']}",
                         data={name: row[name] for name in ("outcome", "page", "result", "summary")})  # fmt: skip
    return None


def _end(code: int, rows: list[dict[str, Any]], wish: Wish) -> None:
    error = next((row["error"] for row in rows if "error" in row), None)
    if error is not None:
        kind = BadInput if code == BAD_INPUT else LoadFailed
        raise kind(str(error["what"]), where=str(error["where"]), next=f"teal load {wish.shape} --help")
    result = next((row for row in rows if row.get("step") == "result"), None)
    if result is None:
        said = (wish.out / "stderr.log").read_text(encoding="utf-8").strip().splitlines()[-_LAST_LINES:]
        if code == BAD_INPUT and said:  # argparse prints how it is called, and then what is wrong
            said = [said[-1].partition("error: ")[2] or said[-1]]
        kind = BadInput if code == BAD_INPUT else LoadFailed
        raise kind(
            f"The load test ended with {code}: {' '.join(said)}", where=str(wish.out / "stderr.log"), next="teal load --help"
        )
    judged = [row for row in rows if row.get("step") == "threshold"]
    bad = "; ".join(f"{row['says']}: {row['bad']} of {row['samples']}" for row in judged if row["outcome"] == result["outcome"])
    if result["outcome"] == "breached":
        raise Breached(
            f"Not kept: {bad}", where=result["page"], next="open the page; thresholds are in loadtests/thresholds.yaml"
        )
    if result["outcome"] == "too few":
        raise NeedsHuman(
            f"Too few samples to say: {bad}", where=result["page"], next=f"teal load {wish.shape} with more --seconds or --scale"
        )
    if code != 0:
        raise LoadFailed(f"The load test ended with {code}", where=str(wish.out), next=f"teal load {wish.shape}")


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
