"""Starts and stops the stack. The functions are generators of events;
they print nothing and raise the errors of `teal.errors`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from teal.errors import BadInput, HeldByAnother
from teal.events import Event
from teal.laptop import admin, reap, revive, supervisor, versions
from teal.laptop.address import address, probe_address
from teal.laptop.databases import set_aside_damaged
from teal.laptop.environments import project
from teal.laptop.files import write_private
from teal.laptop.layout import Layout, create_folders
from teal.laptop.lock import exclusive
from teal.laptop.loopback import described, first_listener, hosts, is_free
from teal.laptop.parts import registry
from teal.laptop.parts.part import Part, PartContext
from teal.laptop.plan import LaptopPlan, plan
from teal.laptop.program import changed
from teal.laptop.released import first_release, open_store, releases, set_traffic, write_first
from teal.laptop.secrets import keep_service_secrets
from teal.laptop.state import LaptopState, UpOptions, choose_state, is_damaged, load_state, save_state, with_free_ports
from teal.laptop.waiting import STEP_SECONDS, until, until_stopped
from teal.record.model import Record

WHOLE_SECONDS = 10.0  # a worker makes its index within a second of its start; a busy machine takes some


def up(layout: Layout, options: UpOptions, environ: Mapping[str, str]) -> Iterator[Event]:
    """Make the stack run as requested. If it runs with the same configuration, nothing is changed. Holds the stack's lock."""
    with exclusive(layout):
        check_folder(layout)
        create_folders(layout)
        place = complete_context(PartContext(layout, choose_state(load_state(layout), options, registry.port_names()), environ))
        for part in registry.PARTS:
            part.programs(place)  # raises for a part that cannot run on this machine, before anything is built
        running = supervisor.is_up(layout)
        store = open_store(layout)
        record, stamp = store.read()
        first = record.active is None
        if first:
            yield Event("version", "start", "building the first release from this tree")
            record, stamp = first_release(layout, store)
            yield Event("version", "ok", f"release {releases(record)[0][1].release_id}")
        yield from mend_versions(layout, record)
        wanted = plan(place, record)
        differing = changed(wanted.files)
        if running and differing:
            said = f"changed ({', '.join(differing)}): restarting"
            yield Event("configuration", "warn", said, data={"changed": differing})
            yield from stop_stack(layout)
            running = False
        if not running:
            check_nobody_serves(layout)
            for ended in reap.end_leftovers(layout):
                said = f"ended {ended.part} (pid {ended.pid}), left over from an earlier run"
                yield Event("reap", "warn", said, data={"pid": ended.pid})
            check_public_port(place.state)
            yield from set_aside_damaged(layout)
            place = replace(place, state=with_free_ports(place.state))
            wanted = plan(place, record)
            save_state(layout, place.state)
            if wanted.record != record:
                store.write(wanted.record, expected=stamp)
            if first:
                write_first(store, wanted.record)
            set_traffic(layout, wanted.record)
            for path, text in wanted.files.items():
                write_private(path, text)
            yield Event("supervisor", "start", "starting")
            supervisor.start_supervisord(layout, {**environ, "PYTHONUNBUFFERED": "1"})
            revive.forget_failures(layout)
        if is_damaged(layout):
            yield Event("state", "warn", f"{layout.state_file.name} was damaged: written again from its copy")
            save_state(layout, place.state)
        for path, text in wanted.once.items():
            write_private(path, text)
        keep_service_secrets(layout, wanted.secrets)
        revive.ensure_keeper(layout)
        yield Event("supervisor", "ok", "running already, configuration unchanged" if running else "running")
        yield from _start(wanted)


def mend_versions(layout: Layout, record: Record) -> Iterator[Event]:
    """Rebuild damaged code of released versions, if this tree is that version. Raises BadInput if it is not."""
    for color, release in releases(record):
        folder = layout.versions / release.image
        said = versions.problem_of(layout, release.image)
        if said is None:
            continue
        if versions.mend_note(layout, release.image, release.label):
            yield Event("version", "warn", f"{color}'s version: {said}; it was written again from its code, which is whole")
            continue
        yield Event("version", "warn", f"{color}'s code is damaged ({said}): building it again from this tree")
        if versions.build(layout, project(), release.label).id != release.image:
            raise BadInput(f"The code of {color}'s release {release.release_id} is damaged ({said}), and this tree is another version",
                           where=str(folder), next=f"check out the tree of release {release.release_id}, then teal up")  # fmt: skip
        yield Event("version", "ok", f"{color}'s code is whole again")


def complete_context(place: PartContext) -> PartContext:
    """The place, completed with the choices that each part makes at its first start and keeps from then on."""
    for part in registry.PARTS:
        place = replace(place, state=part.settle(place))
    return place


def check_folder(layout: Layout) -> None:
    """Raise BadInput when the folder cannot be written."""
    if not os.access(layout.home.parent if not layout.home.exists() else layout.home, os.W_OK):
        raise BadInput("The folder cannot be written", where=str(layout.home), next="TEAL_HOME=/your/own/folder teal up")


def check_nobody_serves(layout: Layout) -> None:
    """Raise HeldByAnother when the stack serves people although supervisord does not answer:
    its processes are then no leftovers to end."""
    left = [one for one in reap.find_leftovers(layout) if one.part != revive.KEEPER]
    if left and layout.ca.is_file() and load_state(layout) and probe_address(address(layout, {}))[0]:
        pids = ", ".join(str(one.pid) for one in left)
        raise HeldByAnother(f"The stack runs and answers, but its supervisord does not (processes {pids})", where=str(layout.socket),
                   next="`teal down` ends it for certain, then `teal up`")  # fmt: skip


def check_public_port(state: LaptopState) -> None:
    """Raise BadInput when another program uses the public port, with its name where that is visible."""
    port = state.ports.public
    for host in hosts():  # IPv6 too: a program on ::1 alone would get the browsers' requests, and Caddy could not start
        if not is_free(port, host):
            where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            raise BadInput(
                f"Port {port} is in use{described(first_listener(port))}", where=where, next=f"teal up --port {port + 1}"
            )


def _start(wanted: LaptopPlan) -> Iterator[Event]:
    """Start the programs that do not run, part by part in order, and wait until all answer."""
    place, layout = wanted.place, wanted.place.layout
    for part in registry.PARTS:
        if said := part.absent(place):
            yield Event(part.name, "warn", said)
    for name, part in _owned(wanted):
        if supervisor.is_running(layout, name) and (why := part.broken(place)):
            yield Event(name, "warn", f"{why}: starting it anew")
            yield from _stop_program(layout, name)
        if part.needed(place):
            yield from _start_program(place, part, name)
    for name, part in _owned(wanted):
        if part.before_schema:  # even if it runs: supervisor may have restarted it a moment ago
            yield from _until_ready(place, part, name)
    yield from _migrate(layout, wanted)
    for name, part in _owned(wanted):
        yield from part.started(place, lambda name=name: supervisor.is_running(layout, name))  # type: ignore[misc]
    for program in wanted.of_colors:
        yield from _start_program(place, registry.owner(program.name), program.name)
    for program in wanted.of_colors:
        yield from _until_ready(place, registry.owner(program.name), program.name)
    for program in wanted.programs:  # Caddy is among these, and answers only when an app process stands behind it
        part = registry.owner(program.name)
        if not (program.once or part.before_schema):
            yield from _until_ready(place, part, program.name)
    yield from _until_whole(wanted)


def _until_whole(wanted: LaptopPlan) -> Iterator[Event]:
    """Wait WHOLE_SECONDS at most for what the released colors still lack, such as the index that a worker makes first;
    report what stays missing."""
    deadline = time.monotonic() + WHOLE_SECONDS
    for program in wanted.of_colors:
        part = registry.owner(program.name)
        while not (found := part.health(wanted.place, program.name))[0] and time.monotonic() < deadline:
            time.sleep(STEP_SECONDS)
        if not found[0]:
            yield Event(program.name, "warn", found[1])


def _owned(wanted: LaptopPlan) -> list[tuple[str, Part]]:
    return [(program.name, registry.owner(program.name)) for program in wanted.programs]


def _start_program(place: PartContext, part: Part, name: str) -> Iterator[Event]:
    if not supervisor.is_running(place.layout, name):
        yield from part.before_start(place)
        supervisor.start_part(place.layout, name)


def _stop_program(layout: Layout, name: str) -> Iterator[Event]:
    supervisor.stop_part(layout, name)
    yield from until_stopped(layout, name)


def _migrate(layout: Layout, wanted: LaptopPlan) -> Iterator[Event]:
    processes = supervisor.processes(layout)
    if any(processes[f"{color}-worker"].state == "RUNNING" for color, _ in releases(wanted.record)):
        return  # a running worker means that the schema is current
    if catalog_lost(layout, wanted.secrets):
        said = "there is none, and snapshots of one: a new one is made, empty. The old one back: `teal restore`"
        yield Event("catalog", "warn", said)
    yield Event("catalog", "start", "migrating")
    admin.run_on(layout, ("migrate", "--expand"))
    yield Event("catalog", "ok", "schema is current")


def catalog_lost(layout: Layout, secrets: Mapping[str, str]) -> bool:
    """Whether the catalog is a file that is missing although snapshots of it exist."""
    return (
        "DATABASE_URL" not in secrets
        and not (layout.data / "catalog.db").exists()
        and any(layout.backups.glob("*/manifest.json"))
    )


def _until_ready(place: PartContext, part: Part, name: str) -> Iterator[Event]:
    return until(place.layout, name, lambda: part.ready(place, name), part.ready_seconds)


def stop_stack(layout: Layout) -> Iterator[Event]:
    """End all processes of this stack; the files in its folder stay."""
    revive.end_keeper(layout)
    if supervisor.is_up(layout):
        yield Event("supervisor", "start", "stopping; requests in flight may finish")
        supervisor.stop_supervisord(layout)
        yield Event("supervisor", "ok", "stopped")
    for ended in reap.end_leftovers(layout):
        yield Event("reap", "warn", f"ended {ended.part} (pid {ended.pid})", data={"pid": ended.pid})
    for path in (layout.socket, layout.pidfile):
        path.unlink(missing_ok=True)


def down(layout: Layout) -> Iterator[Event]:
    """`stop_stack`, holding the lock. Stopping what does not run is success."""
    with exclusive(layout):
        yield from stop_stack(layout)
        yield Event("stack", "ok", f"down; documents and keys are kept in {layout.home}")
