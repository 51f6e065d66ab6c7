"""The app processes of each color: they answer HTTP behind Caddy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from teal.laptop import health
from teal.laptop.parts.part import Part, PartContext
from teal.laptop.program import Program
from teal.record.model import Color

STOP_SECONDS = 30  # answers that are being streamed may finish


class AppPart(Part):
    """The app processes of both colors, APP_PROCESSES in each."""

    name = "app"

    def color_programs(self, place: PartContext, color: Color, env: Mapping[str, str], python: str) -> tuple[Program, ...]:
        found = []
        for number, port in enumerate(place.state.ports.apps(color)):
            argv = (python, "-m", "app.main", "--host", "127.0.0.1", "--port", str(port))
            environment = {**env, "TEAL_SLOT": str(number)}
            found.append(Program(f"{color}-app-{number}", argv, environment, str(place.layout.home), stop_seconds=STOP_SECONDS))
        return tuple(found)

    def owns(self, program: str) -> bool:
        return "-app-" in program

    def ready(self, place: PartContext, program: str) -> tuple[bool, str]:
        return health.http_ok(f"{url(place, program)}/readyz")

    def health(self, place: PartContext, program: str) -> tuple[bool, str]:
        base = url(place, program)
        good, said = health.http_ok(f"{base}/healthz")
        if good:
            good, said, _ = health.app_ok(f"{base}/readyz")  # a process lacking an optional part still gets traffic
        return good, said


def url(place: PartContext, program: str) -> str:
    """Where the process listens."""
    color, _, slot = program.partition("-app-")
    return f"http://127.0.0.1:{place.state.ports.apps(cast('Color', color))[int(slot)]}"
