"""The watchdog of releases, which returns the traffic to the active color when a releaser has died.
Its code is in teal/release/watchdog.py."""

from __future__ import annotations

import sys

from teal.laptop.parts.part import Part, PartContext
from teal.laptop.program import PLAIN, Program, shell_env


class WatchdogPart(Part):
    """One watchdog for the stack, independent of colors, because it must not end with one."""

    name = "watchdog"

    def programs(self, place: PartContext) -> tuple[Program, ...]:
        home = str(place.layout.home)
        env = {**shell_env(place.environ, PLAIN), "TEAL_HOME": home, "PYTHONUNBUFFERED": "1"}
        return (Program(self.name, (sys.executable, "-m", "teal.release.watchdog"), env, home),)
