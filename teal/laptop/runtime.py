"""The `Runtime` port on the laptop: a color is one worker and two app processes under the stack's supervisord."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from teal.errors import PartFailed, StackDown
from teal.events import Event
from teal.laptop import admin, health, supervisor
from teal.laptop.configuration import color_env, color_programs, declared_programs
from teal.laptop.files import write_private
from teal.laptop.layout import Layout
from teal.laptop.parts.part import PartContext
from teal.laptop.program import Program, changed, file_of, program_json
from teal.laptop.secrets import metrics_token, probe_secret, service_secrets
from teal.laptop.state import LaptopState, load_state
from teal.laptop.versions import find_version
from teal.ports.runtime import Readiness
from teal.record.model import Color, ColorState

STOP_SECONDS = 45.0  # longer than the parts' stop_seconds, so that streams may finish
APART_SECONDS = 8.0  # the longest wait between two starts; one takes 3 s on an idle machine
POLL_SECONDS = 0.1
TELL_SECONDS = 1.0  # between progress events, at each of which a waiting release renews its lease
ALIVE = ("RUNNING", "STARTING", "STOPPING", "BACKOFF")


class SupervisorRuntime:
    """Works on the running stack of `layout`. Raises StackDown when there is none."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def deploy(self, color: Color, state: ColorState) -> Iterator[Event]:
        stack = self._stack()
        wanted = programs_of(self._layout, stack, color, state)
        files = {file_of(self._layout, program.name): program_json(program, self._layout) for program in wanted}
        if changed(files):
            yield from self._stop(color)
        for path, text in files.items():
            write_private(path, text)
        if state.replica_floor > len(stack.ports.apps(color)):
            yield Event(
                "deploy", "warn", f"{state.replica_floor} processes are wanted; a laptop has {len(stack.ports.apps(color))}"
            )
        started = []
        # Started one after another, the worker last:
        # each start takes two seconds of processor time from the active color's requests.
        for name in sorted((program.name for program in wanted), key=lambda name: name.endswith("-worker")):
            if supervisor.start_part(self._layout, name):
                started.append(name)
                yield from self._answers(stack, color, name)
        yield Event("deploy", "ok", f"started {', '.join(started)}" if started else f"{color} runs it already")

    def readiness(self, color: Color) -> Readiness:
        stack = self._stack()
        processes = supervisor.processes(self._layout)
        names = self._names(stack, color)
        if not any(processes[name].state in (*ALIVE, "FATAL", "EXITED") for name in names):
            return Readiness(0, 0)
        reasons = []
        ready = 0
        for number, port in enumerate(stack.ports.apps(color)):
            name = f"{color}-app-{number}"
            good, said = health.http_ok(f"http://127.0.0.1:{port}/readyz")
            running = processes[name].state == "RUNNING"
            ready += good and running
            if not (good and running):
                reasons.append(f"{name}: {said if running else self._why(processes[name])}")
        worker = processes[f"{color}-worker"]
        if worker.state not in ("RUNNING", "STARTING"):
            reasons.append(f"{worker.name}: {self._why(worker)}")
        wanted = len(stack.ports.apps(color)) + (worker.state not in ("RUNNING", "STARTING"))
        return Readiness(ready, wanted, "; ".join(reasons))

    def replicas(self, color: Color) -> int:
        processes = supervisor.processes(self._layout)
        return sum(process.state == "RUNNING" for name, process in processes.items() if name.startswith(f"{color}-app-"))

    def keep_at_least(self, color: Color, processes: int) -> None:
        """Nothing: a color's number of processes is fixed here."""

    def admin(self, state: ColorState, color: Color, *arguments: str) -> list[dict[str, Any]]:
        version = find_version(self._layout, state.image)
        return admin.run_admin(
            arguments, color_environment(self._layout, color, state), python=version.python, cwd=self._layout.home
        )

    def retire(self, color: Color) -> Iterator[Event]:
        stopped = any(supervisor.processes(self._layout)[name].state in ALIVE for name in self._names(self._stack(), color))
        yield from self._stop(color)
        for name in self._names(self._stack(), color):
            file_of(self._layout, name).unlink(missing_ok=True)
        yield Event("retire", "ok", f"{color} stopped" if stopped else f"{color} was not running")

    def pending(self, color: Color) -> tuple[str, ...]:
        """Signs of an interrupted deploy: some of the color's processes run and some do not."""
        processes = supervisor.processes(self._layout)
        names = self._names(self._stack(), color)
        down = [name for name in names if processes[name].state not in ("RUNNING", "STARTING")]
        return () if len(down) in (0, len(names)) else tuple(f"{name} is {processes[name].state.lower()}" for name in down)

    def mend(self, color: Color) -> Iterator[Event]:
        """Start every program of the color that has a program file. `deploy` writes these files and `retire` removes them."""
        for name in self._names(self._stack(), color):
            if file_of(self._layout, name).is_file() and supervisor.start_part(self._layout, name):
                yield Event("mend", "ok", f"started {name}")

    def _stop(self, color: Color) -> Iterator[Event]:
        names = self._names(self._stack(), color)
        asked = [supervisor.stop_part(self._layout, name) for name in names]  # stop all before waiting for any
        if any(asked):
            yield Event("stop", "start", f"{color}: requests in flight may finish")
        deadline, told = time.monotonic() + STOP_SECONDS, time.monotonic()
        while left := [name for name in names if supervisor.processes(self._layout)[name].state in ALIVE]:
            if time.monotonic() > deadline:
                log = self._layout.logs / f"{left[0]}.out.log"
                raise PartFailed(left[0], f"did not end within {STOP_SECONDS:.0f} s", log=str(log))
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                yield Event("stop", "progress", f"waiting for {', '.join(left)}")
            time.sleep(POLL_SECONDS)

    def _answers(self, stack: LaptopState, color: Color, name: str) -> Iterator[Event]:
        """Wait until an app process answers or has ended, APART_SECONDS at most.
        Readiness is judged later, for all processes together."""
        ports = {f"{color}-app-{number}": port for number, port in enumerate(stack.ports.apps(color))}
        deadline, told = time.monotonic() + APART_SECONDS, time.monotonic()
        while name in ports and time.monotonic() < deadline:
            if supervisor.processes(self._layout)[name].state not in ("RUNNING", "STARTING"):
                return
            if health.http_ok(f"http://127.0.0.1:{ports[name]}/readyz")[0]:
                return
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                yield Event("deploy", "progress", f"{name} is starting")
            time.sleep(POLL_SECONDS)

    def _why(self, process: supervisor.SupervisedProcess) -> str:
        last = supervisor.log_tail(self._layout.logs / f"{process.name}.out.log")
        return f"{process.state.lower()} ({last[:200] or process.detail})"

    def _stack(self) -> LaptopState:
        state = load_state(self._layout)
        if state is None:
            raise StackDown(str(self._layout.home))
        return state

    def _names(self, stack: LaptopState, color: Color) -> Sequence[str]:
        place = PartContext(self._layout, stack, {})
        return [program.name for program in declared_programs(place) if program.name.startswith(f"{color}-")]


def color_environment(layout: Layout, color: Color, state: ColorState) -> Mapping[str, str]:
    """The environment of the color's processes: the release's configuration and the current secrets."""
    code = find_version(layout, state.image).code
    return color_env(color, state, service_secrets(layout), code=code, probe_secret=probe_secret(layout, color),
                     metrics_token=metrics_token(layout))  # fmt: skip


def programs_of(layout: Layout, stack: LaptopState, color: Color, state: ColorState) -> tuple[Program, ...]:
    """The color's programs for `state`. Raises BadInput when its version is not on this machine."""
    return color_programs(
        PartContext(layout, stack, {}), color, color_environment(layout, color, state), find_version(layout, state.image).python
    )
