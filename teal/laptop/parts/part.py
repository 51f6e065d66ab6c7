"""What a part of the laptop's stack is. Each part is one subclass in its own file here, and one line in `registry.py`."""

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
    """What a part is told about where it runs. `environ`: the operator's shell, or for `teal status` what the service was started with.
    `find`: where a program is on this machine."""

    layout: Layout
    state: LaptopState
    environ: Mapping[str, str]
    find: Callable[[str], str | None] = find_program


class Part:
    """One part. Everything but `name` has a default, so that a part says only what is its own."""

    name: str
    ports: tuple[str, ...] = ()  # names of the loopback ports it listens on; `place.state.ports.of(name)` gives each
    ends_by_itself = False  # whether its programs do something once; `status` says what became of it
    before_schema = False  # whether it must answer before the catalog's schema is brought up to date
    ready_seconds = READY_SECONDS

    def settle(self, place: PartContext) -> LaptopState:
        """The state with what this part chooses at its first start and keeps. Default: nothing."""
        return place.state

    def programs(self, place: PartContext) -> tuple[Program, ...]:
        """What supervisord runs once, whatever is released. Empty when this machine or this configuration has none of it."""
        return ()

    def color_programs(self, place: PartContext, color: Color, env: Mapping[str, str], python: str) -> tuple[Program, ...]:
        """What supervisord runs for each color, with the color's environment and its version's interpreter."""
        return ()

    def owns(self, program: str) -> bool:
        """Whether the program of this name is this part's."""
        return program == self.name

    def files(self, place: PartContext) -> Mapping[Path, str]:
        """Configuration files and their texts; another text restarts the stack."""
        return {}

    def service_env(self, place: PartContext) -> Mapping[str, str]:
        """What the service is told about this part, as environment variables."""
        return {}

    def needed(self, place: PartContext) -> bool:
        """Whether it must be started now. Default: always."""
        return True

    def before_start(self, place: PartContext) -> Iterator[Event]:
        """Whatever its programs need before they start. Is called only when they do not run."""
        yield from ()

    def broken(self, place: PartContext) -> str | None:
        """Why its running program must be started anew, in words; None when it need not be."""
        return None

    def absent(self, place: PartContext) -> str | None:
        """A warning of `teal up` when the part has no program here and the service goes on without it."""
        return None

    def started(self, place: PartContext, runs: Callable[[], bool]) -> Iterator[Event]:
        """What `teal up` waits for before it starts the service. `runs`: whether its program still runs."""
        yield from ()

    def ready(self, place: PartContext, program: str) -> tuple[bool, str]:
        """Whether it answers well enough for `teal up` to go on, and what it said. Default: as `health`."""
        return self.health(place, program)

    def health(self, place: PartContext, program: str) -> tuple[bool, str]:
        """Whether the running program does its work, asked of the program itself, and what it said."""
        return True, "running"

    def status(self, place: PartContext, known: Collection[str]) -> list[CheckRow]:
        """Further lines of `teal status`. `known`: the programs that supervisord has."""
        return []

    def doctor(self, place: PartContext) -> list[CheckRow]:
        """Lines of `teal doctor`: what this part needs of the machine."""
        return []
