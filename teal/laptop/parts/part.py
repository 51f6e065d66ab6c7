"""The base class of the laptop stack's parts. Each part is a subclass in its own file here, and one line in `registry.py`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from teal.events import CheckRow as CheckRow
from teal.events import Event
from teal.laptop.layout import Layout
from teal.laptop.program import Program, find_program
from teal.laptop.state import LaptopState
from teal.record.model import Color

READY_SECONDS = 90.0  # a cold start on a busy two-core machine takes 15


@dataclass(frozen=True, slots=True)
class PartContext:
    """The surroundings of a part. `environ`: the operator's shell, or for `teal status` the environment of the running service.
    `find`: finds a program on this machine by its name."""

    layout: Layout
    state: LaptopState
    environ: Mapping[str, str]
    find: Callable[[str], str | None] = find_program


class Part:
    """One part. Everything except `name` has a default, so that a subclass defines only what differs."""

    name: str
    ports: tuple[str, ...] = ()  # names of the loopback ports it listens on; `place.state.ports.of(name)` gives each
    ends_by_itself = False  # whether its programs do one thing and end; `status` then shows the outcome
    before_schema = False  # whether it must answer before the catalog's schema is brought up to date
    ready_seconds = READY_SECONDS

    def settle(self, place: PartContext) -> LaptopState:
        """The state, completed with the choices that this part makes at its first start and keeps. Default: none."""
        return place.state

    def programs(self, place: PartContext) -> tuple[Program, ...]:
        """The programs that supervisord runs once, independent of releases.
        Empty when this machine or this configuration has none."""
        return ()

    def color_programs(self, place: PartContext, color: Color, env: Mapping[str, str], python: str) -> tuple[Program, ...]:
        """The programs that supervisord runs for each color, with the color's environment and its version's interpreter."""
        return ()

    def owns(self, program: str) -> bool:
        """Whether the program of this name is this part's."""
        return program == self.name

    def files(self, place: PartContext) -> Mapping[Path, str]:
        """Configuration files and their texts. A changed text restarts the stack."""
        return {}

    def service_env(self, place: PartContext) -> Mapping[str, str]:
        """Environment variables that tell the service about this part."""
        return {}

    def needed(self, place: PartContext) -> bool:
        """Whether it must be started now. Default: always."""
        return True

    def before_start(self, place: PartContext) -> Iterator[Event]:
        """Prepare what its programs need before they start. Called only while they do not run."""
        yield from ()

    def broken(self, place: PartContext) -> str | None:
        """Why its running program must be restarted, as a sentence; None when it need not be."""
        return None

    def absent(self, place: PartContext) -> str | None:
        """The warning that `teal up` shows when the part has no program here and the service works without it."""
        return None

    def started(self, place: PartContext, runs: Callable[[], bool]) -> Iterator[Event]:
        """Wait for what must be ready before `teal up` starts the service. `runs`: whether its program still runs."""
        yield from ()

    def ready(self, place: PartContext, program: str) -> tuple[bool, str]:
        """Whether it answers well enough for `teal up` to go on, and its answer. Default: the same as `health`."""
        return self.health(place, program)

    def health(self, place: PartContext, program: str) -> tuple[bool, str]:
        """Whether the running program works, and its answer. The program itself is asked."""
        return True, "running"

    def status(self, place: PartContext, known: Collection[str]) -> list[CheckRow]:
        """Further lines of `teal status`. `known`: the programs that supervisord knows."""
        return []

    def doctor(self, place: PartContext) -> list[CheckRow]:
        """Lines of `teal doctor`: what this part needs of the machine."""
        return []
