"""`teal status`: what works now and what each part last did. The parts themselves are asked."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from contract.watchdog import will_do
from teal.client.service import Client
from teal.clock import Clock, SystemClock
from teal.errors import OperatorError, StackDown
from teal.laptop import reap, revive, supervisor, versions
from teal.laptop.address import address
from teal.laptop.admin import service_environment
from teal.laptop.layout import Layout
from teal.laptop.open_traffic import open_traffic
from teal.laptop.parts import registry
from teal.laptop.parts.part import CheckRow, PartContext
from teal.laptop.program import file_of, read_program
from teal.laptop.released import open_store, releases
from teal.laptop.state import is_damaged, load_state
from teal.ports.traffic import Weights, all_to
from teal.record.lease import is_expired
from teal.record.model import COLORS, Color, Record

NO_ROOM_BYTES: Final = 16_000_000  # SQLite's logs alone grow to 4 MB each; a drill's whole disk is 250 MB


@dataclass(frozen=True, slots=True)
class Status:
    """`healthy`: every row is ok. `documents` by status; `search`: adapter, passages, vectors, model."""

    healthy: bool
    url: str
    rows: tuple[CheckRow, ...]
    documents: Mapping[str, int]
    search: Mapping[str, Any]

    def fields(self) -> dict[str, Any]:
        return asdict(self)


def status(layout: Layout, environ: Mapping[str, str]) -> Status:
    """Ask every part. A part that is down is a row of the result, never an exception."""
    state = load_state(layout)
    if state is None:
        return _down("", "never started here", "teal up")
    url = f"https://localhost:{state.ports.public}"
    try:
        processes = supervisor.processes(layout)
    except StackDown:
        left = reap.find_leftovers(layout)
        if any(one.part == revive.KEEPER for one in left):
            return _down(url, "not running; it is being started again, with everything it ran", "teal status, in a few seconds")
        detail = "not running" + (
            f"; {len(left)} of its processes are left over (pid {', '.join(str(one.pid) for one in left)})" if left else ""
        )
        return _down(url, detail, "teal up")
    rows = [supervisor_row(layout, len(processes))]
    place = PartContext(layout, state, _environment(layout))
    if is_damaged(layout):
        rows.append(CheckRow("state", False, f"{layout.state_file.name} is damaged or gone; its copy is used", "teal up"))
    active, others = _colors(layout)
    for name, process in processes.items():
        color = name.partition("-")[0]
        idle = color in COLORS and color != active and color not in others and process.state == "STOPPED"
        if not (idle or registry.owner(name).ends_by_itself):
            rows.append(program_row(place, process))
    rows.append(_release_row(layout))
    documents, search, problem = _service(layout, environ)
    for part in registry.PARTS:
        rows += part.status(place, processes.keys())
    rows += disk_row(layout)
    rows += search_row(documents, search)
    if problem:
        rows.append(CheckRow("service", False, problem, "teal logs app"))
    elif documents.get("failed"):
        rows.append(
            CheckRow("documents", True, f"{documents['failed']} failed", "`teal ingest` them again, or open the page's status")
        )
    return Status(all(row.ok for row in rows), url, tuple(rows), documents, search)


def supervisor_row(layout: Layout, count: int) -> CheckRow:
    """Whether supervisord runs, whether a keeper would restart it, and whether one has."""
    since = revive.revived_at(layout)
    said = f"{count} programs" + (f"; it died and was started again by itself at {since}" if since else "")
    if not revive.keepers(layout):
        return CheckRow("supervisor", False, f"{said}; nobody would start it again if it died", "teal up")
    return CheckRow("supervisor", True, said)


def _colors(layout: Layout) -> tuple[Color | None, tuple[Color, ...]]:
    """The active color, and the others that are in the record."""
    try:
        record, _ = open_store(layout).read()
    except OperatorError:
        return None, ()
    return record.active, tuple(color for color, _ in releases(record) if color != record.active)


def _release_row(layout: Layout) -> CheckRow:
    try:
        record, _ = open_store(layout).read()
        weights = open_traffic(layout).read()
    except OperatorError as error:
        return CheckRow("release", False, error.what, error.next)
    state = record.active_state
    problem = versions.problem_of(layout, state.image) if state else None
    if problem:
        return CheckRow(
            "release",
            False,
            f"the code of {record.active} is damaged on the disk: {problem}",
            "teal down, then teal up (it builds it again)",
        )
    return release_row(record, weights, SystemClock())


def release_row(record: Record, weights: Weights, clock: Clock) -> CheckRow:
    """The active release, and any release under way. Not ok when its releaser is gone, or when no release explains the shares."""
    state = record.active_state
    said = f"{record.active} serves {state.release_id}" if state else "none"
    going_on = f"; {record.release.id} is at {record.release.step} ({record.release.phase})" if record.release else ""
    shares = "" if 100 in (weights.blue, weights.green) else f"; blue has {weights.blue} %, green {weights.green} %"
    if record.release is not None and is_expired(record.lease, clock):
        next = will_do(record.model_dump(mode="json"), weights.of(record.release.target))
        left = f"{said}{going_on}, and its releaser is gone{shares}; {next}"
        return CheckRow("release", False, left, "teal rollback gives the traffic back; teal resume goes on")
    if record.release is None and record.active is not None and weights != all_to(record.active):
        return CheckRow(
            "release",
            False,
            f"{said}{shares or f'; {record.active} has no requests'}, and no release is under way",
            "teal repair",
        )
    frozen = f"; no release begins: {record.freeze.message}" if record.freeze else ""
    return CheckRow("release", state is not None, said + going_on + shares + frozen, "" if state else "teal release")


def _down(url: str, detail: str, mend: str) -> Status:
    return Status(False, url, (CheckRow("supervisor", False, detail, mend),), {}, {})


def _environment(layout: Layout) -> Mapping[str, str]:
    try:
        return service_environment(layout)
    except OperatorError:
        return {}


def program_row(place: PartContext, process: supervisor.SupervisedProcess) -> CheckRow:
    """Whether a program runs, does its work and could be started again."""
    name = process.name
    file = file_of(place.layout, name)
    if read_program(file) is None:
        how = "damaged" if file.exists() else "missing"
        said = f"{process.state.lower()} (pid {process.pid}), but {file} is {how}: it could not be started again"
        return CheckRow(name, False, said, "teal up")
    if process.state != "RUNNING":
        return CheckRow(name, False, f"{process.state.lower()}: {process.detail}", f"teal up; teal logs {name}")
    good, said = registry.owner(name).health(place, name)
    return CheckRow(name, good, f"{said} (pid {process.pid})", "" if good else f"teal logs {name}")


def _service(layout: Layout, environ: Mapping[str, str]) -> tuple[Mapping[str, int], Mapping[str, Any], str | None]:
    where = address(layout, environ)
    if where.key is None:
        return {}, {}, "no key to ask with: `teal up` makes one"
    try:
        with Client(where) as client:
            found = client.get("/v1/status")
    except OperatorError as error:
        return {}, {}, error.what
    return found["documents"], found["search"], None


def search_row(documents: Mapping[str, Any], search: Mapping[str, Any]) -> list[CheckRow]:
    """A row when documents are indexed but search contains none of them.
    No row without the numbers, which a key limited to collections lacks."""
    if not documents.get("indexed") or search.get("passages"):
        return []
    said = "holds no passages" if search.get("passages") == 0 else "has no index that answers"
    return [CheckRow("search", False, f"{documents['indexed']} documents are indexed and search {said}",
                "teal restore --only search --yes, or teal rebuild")]  # fmt: skip


def disk_row(layout: Layout) -> list[CheckRow]:
    """A row when there is no room left to write."""
    free = shutil.disk_usage(layout.home).free
    return [] if free >= NO_ROOM_BYTES else [CheckRow("disk", False, f"{free / 1e6:.0f} MB free at {layout.home}: what is sent stays queued", "free some: runbooks/disk-full.md")]  # fmt: skip
