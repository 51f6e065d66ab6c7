"""What is true now, asked of the processes themselves. Nothing here is remembered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

from teal.admin import service_environment
from teal.client import Client, address
from teal.errors import OperatorError, StackDown
from teal.record import COLORS, Color
from teal.stack import fetch, health, reap, supervisor
from teal.stack.layout import Layout, StackState, load
from teal.stack.released import open_store, releases
from teal.traffic.caddy import CaddyTraffic

NO_ROOM_BYTES: Final = 16_000_000  # SQLite's logs alone grow to 4 MB each; a drill's whole disk is 250 MB


@dataclass(frozen=True, slots=True)
class Row:
    """One part: does it do its work, what it says, and the command that mends it."""

    part: str
    ok: bool
    detail: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """`healthy`: every row is ok. `documents` by status; `search`: adapter, passages, vectors, model."""

    healthy: bool
    url: str
    rows: tuple[Row, ...]
    documents: Mapping[str, int]
    search: Mapping[str, Any]

    def fields(self) -> dict[str, Any]:
        return asdict(self)


def status(layout: Layout, environ: Mapping[str, str]) -> Status:
    """Ask every part. Never raises for a part that is down: that is an answer."""
    state = load(layout)
    if state is None:
        return _down("", "never started here", "teal up")
    url = f"https://localhost:{state.ports.public}"
    try:
        processes = supervisor.processes(layout)
    except StackDown:
        left = reap.leftovers(layout)
        detail = "not running" + (
            f"; {len(left)} of its processes are left over (pid {', '.join(str(one.pid) for one in left)})" if left else ""
        )
        return _down(url, detail, "teal up")
    rows = [Row("supervisor", True, f"{len(processes)} parts")]
    env = _environment(layout)
    active, others = _colors(layout)
    for name, process in processes.items():
        color = name.partition("-")[0]
        if name != "model" and (color not in COLORS or color == active or color in others or process.state != "STOPPED"):
            rows.append(_part(layout, state, env, process))
    rows.append(_release_row(layout))
    if "redis" not in processes:
        rows.append(_outside_redis(env))
    if state.search == "elasticsearch" and "elasticsearch" not in processes:
        good, said = health.elasticsearch_ok(env.get("ELASTICSEARCH_URL", ""))
        rows.append(
            Row("elasticsearch", good, f"ELASTICSEARCH_URL {said}", "" if good else "start it, or `teal up --search embedded`")
        )
    documents, search, problem = _service(layout, environ)
    rows += disk_row(layout)
    rows += search_row(documents, search)
    if problem:
        rows.append(Row("service", False, problem, "teal logs app"))
    elif documents.get("failed"):
        rows.append(
            Row("documents", True, f"{documents['failed']} failed", "`teal ingest` them again, or open the page's status")
        )
    rows.append(model_row(layout, env, _lacking(state)))
    return Status(all(row.ok for row in rows), url, tuple(rows), documents, search)


def _colors(layout: Layout) -> tuple[Color | None, tuple[Color, ...]]:
    """The active color, and the others that are in the record."""
    try:
        record, _ = open_store(layout).read()
    except OperatorError:
        return None, ()
    return record.active, tuple(color for color, _ in releases(record) if color != record.active)


def _release_row(layout: Layout) -> Row:
    try:
        record, _ = open_store(layout).read()
        weights = CaddyTraffic(layout.traffic, {}).read()
    except OperatorError as error:
        return Row("release", False, error.what, error.next)
    state = record.active_state
    said = f"{record.active} serves {state.release_id}" if state else "none"
    going_on = f"; {record.release.id} is at {record.release.step} ({record.release.phase})" if record.release else ""
    shares = "" if 100 in (weights.blue, weights.green) else f"; blue has {weights.blue} %, green {weights.green} %"
    return Row("release", state is not None, said + going_on + shares, "" if state else "teal release")


def _down(url: str, detail: str, mend: str) -> Status:
    return Status(False, url, (Row("supervisor", False, detail, mend),), {}, {})


def _environment(layout: Layout) -> Mapping[str, str]:
    try:
        return service_environment(layout)
    except (OperatorError, OSError, json.JSONDecodeError):
        return {}


def _part(layout: Layout, state: StackState, env: Mapping[str, str], process: supervisor.Process) -> Row:
    name = process.name
    if process.state != "RUNNING":
        return Row(name, False, f"{process.state.lower()}: {process.detail}", f"teal up; teal logs {name}")
    good, said = True, "running"
    color, _, slot = name.partition("-app-")
    if slot:
        base = f"http://127.0.0.1:{state.ports.apps(cast('Color', color))[int(slot)]}"
        good, said = health.http_ok(f"{base}/healthz")
        if good:
            good, said, _ = health.app_ok(f"{base}/readyz")  # it takes traffic while degraded, and names what is away
    elif name == "caddy":
        good, said = health.front_ok(address(layout, {}))
    elif name == "redis":
        good, said = health.redis_ok(env.get("REDIS_URL", ""))
    elif name == "elasticsearch":
        good, said = health.elasticsearch_ok(env.get("ELASTICSEARCH_URL", ""))
    return Row(name, good, f"{said} (pid {process.pid})", "" if good else f"teal logs {name}")


def _outside_redis(env: Mapping[str, str]) -> Row:
    if not env.get("REDIS_URL"):
        return Row("redis", False, "none: each process caches alone", "make up")
    good, said = health.redis_ok(env["REDIS_URL"])
    return Row("redis", good, f"REDIS_URL {said}", "" if good else "start it, or unset REDIS_URL and `teal up`")


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


def search_row(documents: Mapping[str, Any], search: Mapping[str, Any]) -> list[Row]:
    """Nothing while search holds something, or nothing is indexed. A key that does not see every collection sees no numbers: it cannot tell."""
    if not documents.get("indexed") or search.get("passages"):
        return []
    said = "holds no passages" if search.get("passages") == 0 else "has no index that answers"
    return [Row("search", False, f"{documents['indexed']} documents are indexed and search {said}",
                "teal restore --only search --yes, or teal rebuild")]  # fmt: skip


def disk_row(layout: Layout) -> list[Row]:
    """Nothing while there is room to write."""
    free = shutil.disk_usage(layout.home).free
    return [] if free >= NO_ROOM_BYTES else [Row("disk", False, f"{free / 1e6:.0f} MB free at {layout.home}: what is sent stays queued", "free some: runbooks/disk-full.md")]  # fmt: skip


def _lacking(state: StackState) -> str | None:
    """Why an app process searches by words alone; None when none does, or none can say."""
    said = (health.app_ok(f"http://127.0.0.1:{port}/readyz")[2] for color in COLORS for port in state.ports.apps(color))
    return next((why for why in said if why), None)


def model_row(layout: Layout, env: Mapping[str, str], lacking: str | None = None) -> Row:
    """Whether passages can be embedded; words alone still search, so the detail says what is lost."""
    name = fetch.wanted_model(dict(env))
    if lacking and (name is None or fetch.has_model(layout, name)):
        return Row("model", False, lacking, "teal up; teal logs app")
    if name is None:
        return Row("model", True, f"embedding is {env.get('TEAL_EMBEDDING')}")
    if fetch.has_model(layout, name):
        return Row("model", True, f"{name} is here")
    reason = fetch.last_failure(layout)
    return Row("model", False, f"{name} is missing{f' ({reason})' if reason else ''}: search is lexical only", "teal up")
