"""Bringing the stack up and down. Generators of events: nothing is printed here, and errors are `teal.errors`."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from teal import admin
from teal.client import address
from teal.errors import BadInput, Held, PartFailed
from teal.stack import caddy, elasticsearch, fetch, health, reap, supervisor
from teal.stack.events import Event
from teal.stack.layout import Layout, StackState, Wish, choose, is_free, load, prepare, save, with_free_ports, write_private
from teal.stack.parts import Binaries, changed, find_binaries
from teal.stack.plan import Plan, plan
from teal.stack.released import first_release, open_store, releases, set_traffic, write_first
from teal.stack.secrets import keep_service_secrets

READY_SECONDS = 90.0  # a cold start on a busy two-core machine takes 15
MODEL_WAIT_SECONDS = 30.0  # 16 MB; after this the stack starts lexically and the fetch goes on behind it
STEP_SECONDS = 0.2


@contextmanager
def exclusive(layout: Layout) -> Iterator[None]:
    """Only one command changes the stack at a time. Raises Held at once when another one does."""
    layout.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with layout.lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise Held("Another `teal up` or `teal down` is at work on this stack", where=f"{layout.lock} ({file.read().strip() or 'pid unknown'})",
                       next="wait for it, then `teal status`") from error  # fmt: skip
        os.set_inheritable(file.fileno(), False)  # supervisord must not hold it on
        file.truncate(0)
        file.write(f"pid {os.getpid()}")
        file.flush()
        yield


def up(layout: Layout, wish: Wish, environ: Mapping[str, str]) -> Iterator[Event]:
    """Make the stack run as wished. Running with the same configuration, nothing is touched. Holds the lock while it works."""
    with exclusive(layout):
        binaries = check_environment(layout)
        prepare(layout)
        previous = load(layout)
        state = choose(previous, wish)
        running = supervisor.is_up(layout)
        if state.search == "elasticsearch" and not environ.get("ELASTICSEARCH_URL"):
            state = state.model_copy(update={"elasticsearch_home": elasticsearch.choose_home(layout, state.elasticsearch_home)})
        store = open_store(layout)
        record, stamp = store.read()
        first = record.active is None
        if first:
            yield Event("version", "start", "building the first release from this tree")
            record, stamp = first_release(layout, store)
            yield Event("version", "ok", f"release {releases(record)[0][1].release_id}")
        wanted = plan(layout, state, environ, binaries, record)
        differing = changed(wanted.files)
        if running and differing:
            yield Event(
                "configuration",
                "warn",
                f"changed ({', '.join(differing)}): restarting",
                data={"changed": differing},
            )
            yield from stop(layout)
            running = False
        if not running:
            for ended in reap.reap(layout):
                yield Event(
                    "reap",
                    "warn",
                    f"ended {ended.part} (pid {ended.pid}), left over from an earlier run",
                    data={"pid": ended.pid},
                )
            check_public_port(state)
            state = with_free_ports(state)
            wanted = plan(layout, state, environ, binaries, record)
            save(layout, state)
            if wanted.record != record:
                store.write(wanted.record, expected=stamp)
            if first:
                write_first(store, wanted.record)
            set_traffic(layout, wanted.record)
            for path, text in wanted.files.items():
                write_private(path, text)
            caddy.write_pages(layout.pages)
            yield Event("supervisor", "start", "starting")
            supervisor.start(layout, {**environ, "PYTHONUNBUFFERED": "1"})
        for path, text in wanted.at_leisure.items():
            write_private(path, text)
        keep_service_secrets(layout, wanted.secrets)
        yield Event("supervisor", "ok", "running already, configuration unchanged" if running else "running")
        yield from _start_parts(layout, wanted, environ, binaries)


def check_environment(layout: Layout) -> Binaries:
    """The programs that the stack is made of. Raises BadInput when Caddy is missing: without it there is no HTTPS."""
    binaries = find_binaries()
    if binaries.caddy is None:
        raise BadInput("Caddy is missing from this environment", where=str(Path(binaries.python).parent), next="make up")
    if not os.access(layout.home.parent if not layout.home.exists() else layout.home, os.W_OK):
        raise BadInput("The folder cannot be written", where=str(layout.home), next="TEAL_HOME=/your/own/folder teal up")
    return binaries


def check_public_port(state: StackState) -> None:
    """Raises BadInput, naming the holder where it can be seen."""
    port = state.ports.public
    if not is_free(port):
        who = reap.holder(port)
        raise BadInput(
            f"Port {port} is in use" + (f" by {who}" if who else ""), where=f"127.0.0.1:{port}", next=f"teal up --port {port + 1}"
        )


def _start_parts(layout: Layout, wanted: Plan, environ: Mapping[str, str], binaries: Binaries) -> Iterator[Event]:
    names = {part.name for part in wanted.parts}
    model = fetch.wanted_model(dict(environ))
    if model and not fetch.has_model(layout, model):
        supervisor.start_part(layout, "model")
        yield Event("model", "start", f"fetching {model}")
    if "redis" not in names and wanted.redis_url is None:
        yield Event("redis", "warn", "no redis-server on this machine: each process caches alone (`make up` installs it)")
    for name in ("redis", "caddy"):
        if name in names:
            supervisor.start_part(layout, name)
    if "elasticsearch" in names:
        yield from _start_elasticsearch(layout, wanted)
    yield from _migrate(layout, wanted)
    if model:
        yield from _await_model(layout, model)
    for color, _ in releases(wanted.record):
        for name in (part.name for part in wanted.parts if part.name.startswith(f"{color}-")):
            supervisor.start_part(layout, name)
    yield from await_ready(layout, wanted)


def _start_elasticsearch(layout: Layout, wanted: Plan) -> Iterator[Event]:
    home = wanted.state.elasticsearch_home
    if home is None:
        return
    if supervisor.processes(layout)["elasticsearch"].state != "RUNNING":
        doing = "starting" if home.is_dir() else "fetching 107 MB, unpacking and starting"
        yield Event("elasticsearch", "start", f"{doing}; security is off, it listens on loopback only")
        elasticsearch.install(wanted.state, home)
        supervisor.start_part(layout, "elasticsearch")
    # Also one that runs: supervisor may have started it again a moment ago, and it needs 20 s until it answers.
    yield from _until(
        layout, "elasticsearch", lambda: health.elasticsearch_ok(str(wanted.elasticsearch_url)), elasticsearch.BOOT_SECONDS
    )


def _migrate(layout: Layout, wanted: Plan) -> Iterator[Event]:
    processes = supervisor.processes(layout)
    if any(processes[f"{color}-worker"].state == "RUNNING" for color, _ in releases(wanted.record)):
        return  # it runs on this schema
    if catalog_lost(layout, wanted.secrets):
        yield Event(
            "catalog", "warn", "there is none, and snapshots of one: a new one is made, empty. The old one back: `teal restore`"
        )
    yield Event("catalog", "start", "migrating")
    admin.run_on(layout, ("migrate", "--expand"))
    yield Event("catalog", "ok", "schema is current")


def catalog_lost(layout: Layout, secrets: Mapping[str, str]) -> bool:
    """Whether the catalog is a file that is not there although snapshots of it are."""
    return (
        "DATABASE_URL" not in secrets
        and not (layout.data / "catalog.db").exists()
        and any(layout.backups.glob("*/manifest.json"))
    )


def _await_model(layout: Layout, model: str) -> Iterator[Event]:
    deadline = time.monotonic() + MODEL_WAIT_SECONDS
    while not fetch.has_model(layout, model):
        if supervisor.processes(layout)["model"].state not in ("STARTING", "RUNNING"):
            reason = fetch.last_failure(layout) or "the fetch ended early (`teal logs model`)"
            yield Event(
                "model", "warn", f"{model} could not be fetched: {reason}. Searching by words alone; `teal up` tries again"
            )
            return
        if time.monotonic() > deadline:
            yield Event("model", "warn", f"{model} is still being fetched. Searching by words alone until it is here")
            return
        time.sleep(STEP_SECONDS)
    yield Event("model", "ok", f"{model} is here, verified")


def await_ready(layout: Layout, wanted: Plan) -> Iterator[Event]:
    """Wait until every part answers. Raises PartFailed for one that does not, with its log's last line."""
    names = [part.name for part in wanted.parts]
    if wanted.redis_url and "redis" in names:
        url = wanted.redis_url
        yield from _until(layout, "redis", lambda: health.redis_ok(url), READY_SECONDS)
    for color, _ in releases(wanted.record):
        for number, port in enumerate(wanted.state.ports.apps(color)):
            ready = partial(health.http_ok, f"http://127.0.0.1:{port}/readyz")
            yield from _until(layout, f"{color}-app-{number}", ready, READY_SECONDS)
        yield from _until(layout, f"{color}-worker", lambda: (True, "running"), READY_SECONDS)
    yield from _until(layout, "caddy", lambda: health.front_ok(address(layout, {})), READY_SECONDS)


def _until(layout: Layout, name: str, answers: Callable[[], tuple[bool, str]], seconds: float) -> Iterator[Event]:
    """Wait for one part to run and answer; its progress every few seconds."""
    started = told = time.monotonic()
    while True:
        process = supervisor.processes(layout)[name]
        good, said = answers() if process.state == "RUNNING" else (False, process.state.lower())
        if good:
            yield Event(name, "ok", said)
            return
        waited = time.monotonic() - started
        if process.state == "FATAL" or waited > seconds:
            log = layout.logs / f"{name}.out.log"
            reason = supervisor.log_tail(log) or process.detail or said
            raise PartFailed(name, f"{said} after {waited:.0f} s; its last words: {reason}", log=str(log))
        if time.monotonic() - told > 5:  # seconds between signs of life
            told = time.monotonic()
            yield Event(name, "progress", f"waiting ({said})", done=int(waited), total=int(seconds))
        time.sleep(STEP_SECONDS)


def stop(layout: Layout) -> Iterator[Event]:
    """End everything that this stack runs; what lies in the folder stays."""
    if supervisor.is_up(layout):
        yield Event("supervisor", "start", "stopping; requests in flight may finish")
        supervisor.stop(layout)
        yield Event("supervisor", "ok", "stopped")
    for ended in reap.reap(layout):
        yield Event("reap", "warn", f"ended {ended.part} (pid {ended.pid})", data={"pid": ended.pid})
    for path in (layout.socket, layout.pidfile):
        path.unlink(missing_ok=True)


def down(layout: Layout) -> Iterator[Event]:
    """`stop`, holding the lock. Stopping what does not run is success."""
    with exclusive(layout):
        yield from stop(layout)
        yield Event("stack", "ok", f"down; documents and keys are kept in {layout.home}")
