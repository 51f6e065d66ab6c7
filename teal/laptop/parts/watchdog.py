"""The watchdog of releases: it gives the traffic back when a releaser is gone. What it does is in teal/release/watchdog.py."""

from __future__ import annotations

import sys

from teal.laptop.parts.part import Part, PartContext
from teal.laptop.program import PLAIN, Program, shell_env


class WatchdogPart(Part):
    """One for the stack, whatever is released: it must not end with a color."""

    name = "watchdog"

    def programs(self, place: PartContext) -> tuple[Program, ...]:
        home = str(place.layout.home)
        env = {**shell_env(place.environ, PLAIN), "TEAL_HOME": home, "PYTHONUNBUFFERED": "1"}
        return (Program(self.name, (sys.executable, "-m", "teal.release.watchdog"), env, home),)
