"""The embedding model: a program that fetches it and ends, started while the model is missing.
Without it the service searches by words alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping

from teal.events import Event
from teal.laptop import fetch, health
from teal.laptop.layout import Layout
from teal.laptop.parts.part import CheckRow, Part, PartContext
from teal.laptop.program import NETWORK, PLAIN, Program, shell_env
from teal.laptop.state import LaptopState
from teal.record.model import COLORS

VARIABLES = (*PLAIN, *NETWORK, "M2_REPO", "TEAL_EMBEDDING", "TEAL_EMBEDDING_MODEL")
WAIT_SECONDS = 30.0  # for 16 MB; after this the stack starts without the model and the fetch goes on in the background
STEP_SECONDS = 0.2


class ModelPart(Part):
    """Fetched once, verified, then only read."""

    name = "model"
    ends_by_itself = True

    def programs(self, place: PartContext) -> tuple[Program, ...]:
        home = str(place.layout.home)
        argv = (sys.executable, "-m", "teal.laptop.fetch", home)
        return (Program(self.name, argv, shell_env(place.environ, VARIABLES), home, once=True),)

    def needed(self, place: PartContext) -> bool:
        wanted = fetch.wanted_model(place.environ)
        return wanted is not None and not fetch.has_model(place.layout, wanted)

    def before_start(self, place: PartContext) -> Iterator[Event]:
        wanted = str(fetch.wanted_model(place.environ))
        yield Event(self.name, "start", f"fetching {wanted}: it {fetch.model_problem(place.layout, wanted)}")

    def started(self, place: PartContext, runs: Callable[[], bool]) -> Iterator[Event]:
        model = fetch.wanted_model(place.environ)
        if model is None:
            return
        deadline = time.monotonic() + WAIT_SECONDS
        while not fetch.has_model(place.layout, model):
            if not runs():
                reason = fetch.last_failure(place.layout) or "the fetch ended early (`teal logs model`)"
                said = f"{model} could not be fetched: {reason}. Searching by words alone; `teal up` tries again"
                yield Event(self.name, "warn", said)
                return
            if time.monotonic() > deadline:
                yield Event(self.name, "warn", f"{model} is still being fetched. Searching by words alone until it is here")
                return
            time.sleep(STEP_SECONDS)
        yield Event(self.name, "ok", f"{model} is here, verified")

    def status(self, place: PartContext, known: Collection[str]) -> list[CheckRow]:
        return [model_row(place.layout, place.environ, _lacking(place.state))]

    def doctor(self, place: PartContext) -> list[CheckRow]:
        return [model_row(place.layout, place.environ)]


def model_row(layout: Layout, env: Mapping[str, str], lacking: str | None = None) -> CheckRow:
    """Whether passages can be embedded. The detail says that search is lexical only if not.
    `lacking`: the reason that an app process reports."""
    name = fetch.wanted_model(env)
    problem = fetch.model_problem(layout, name) if name else None
    if lacking and problem is None:
        return CheckRow("model", False, lacking, "teal up; teal logs app")
    if name is None:
        return CheckRow("model", True, f"embedding is {env.get('TEAL_EMBEDDING')}")
    if problem is None:
        return CheckRow("model", True, f"{name} is here, verified")
    reason = fetch.last_failure(layout)
    return CheckRow(
        "model",
        False,
        f"{name} {problem}{f' ({reason})' if reason else ''}: search is lexical only",
        "teal up",
    )


def _lacking(state: LaptopState) -> str | None:
    """Why an app process searches by words alone; None when none does, or none answers."""
    said = (health.app_ok(f"http://127.0.0.1:{port}/readyz")[2] for color in COLORS for port in state.ports.apps(color))
    return next((why for why in said if why), None)
