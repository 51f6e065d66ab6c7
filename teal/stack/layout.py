"""Where everything of one laptop stack lives: paths under `.teal/`, and the ports kept in `.teal/stack.json`."""

from __future__ import annotations

import json
import os
import random
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

import teal
from teal.errors import BadInput
from teal.record import Color

Search = Literal["embedded", "elasticsearch"]
DEFAULT_PORT = 8443
APP_PROCESSES = 2  # of each color: one can be killed or restarted while the other answers
INNER_PORTS = range(20_000, 30_000)  # ephemeral ports start at 32768 on Linux, 49152 on macOS
SOCKET_PATH_BYTES = 100  # the kernel's sun_path holds 108; supervisor appends a suffix of up to 7 while it binds


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths only: making one creates nothing."""

    home: Path

    @property
    def state_file(self) -> Path:
        return self.home / "stack.json"

    @property
    def lock(self) -> Path:
        return self.home / "lock"

    @property
    def conf(self) -> Path:
        return self.home / "conf"

    @property
    def logs(self) -> Path:
        return self.home / "log"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def models(self) -> Path:
        return self.home / "models"

    @property
    def corpus(self) -> Path:
        return self.home / "corpus"

    @property
    def pages(self) -> Path:
        return self.home / "pages"

    @property
    def keys(self) -> Path:
        return self.home / "keys"

    @property
    def admin_key(self) -> Path:
        return self.keys / "admin.key"

    @property
    def redis_password(self) -> Path:
        return self.keys / "redis.password"

    @property
    def traffic(self) -> Path:
        """Folders of markers, one per share, and the link `current` to the one in force."""
        return self.home / "traffic"

    @property
    def versions(self) -> Path:
        return self.home / "versions"

    @property
    def environments(self) -> Path:
        return self.home / "environments"

    @property
    def releases(self) -> Path:
        """The record, and one document per release."""
        return self.home / "releases"

    def probe_secret(self, color: Color) -> Path:
        return self.keys / f"probe-{color}"

    @property
    def backups(self) -> Path:
        return self.home / "backups"

    @property
    def backup_key(self) -> Path:
        """Opens the snapshots."""
        return self.keys / "backup.key"

    @property
    def caddy(self) -> Path:
        return self.home / "caddy"

    @property
    def ca(self) -> Path:
        """Root certificate that Caddy makes at its first start; clients verify against it."""
        return self.caddy / "pki" / "authorities" / "local" / "root.crt"

    @property
    def run(self) -> Path:
        """Folder of sockets and pid files; a short one outside `.teal/` when the path is too long for a unix socket."""
        inside = self.home / "run"
        if len(os.fsencode(inside / "supervisor.sock")) <= SOCKET_PATH_BYTES:
            return inside
        name = sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"teal-{os.getuid()}-{name}"

    @property
    def socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def pidfile(self) -> Path:
        return self.run / "supervisord.pid"


class Ports(BaseModel):
    """Loopback ports. `public` is HTTPS for people; the others are for the parts among themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    public: int
    blue: tuple[int, ...]
    green: tuple[int, ...]
    redis: int
    elasticsearch: int
    elasticsearch_transport: int
    workers: tuple[int, int]  # where blue's and green's worker serve their metrics

    def apps(self, color: Color) -> tuple[int, ...]:
        """Ports of the color's app processes."""
        return self.blue if color == "blue" else self.green

    def worker(self, color: Color) -> int:
        """Port of the color's worker."""
        return self.workers[0 if color == "blue" else 1]

    @model_validator(mode="before")
    @classmethod
    def _kept_earlier(cls, given: Any) -> Any:
        """A state kept before there were two colors: its processes become blue's. And one of before workers served their metrics."""
        if not isinstance(given, dict):
            return given
        found = dict(given)
        if "apps" in found:
            found |= {"blue": found.pop("apps"), "green": free_ports(APP_PROCESSES)}
        return {"workers": free_ports(2)} | found


class StackState(BaseModel):
    """What the first start chose and later ones keep."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: Literal[1] = 1
    ports: Ports
    search: Search = "embedded"
    elasticsearch_home: Path | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What this `teal up` was asked for; None keeps what the stack had."""

    search: Search | None = None
    port: int | None = None


def locate(environ: Mapping[str, str]) -> Layout:
    """TEAL_HOME, else `.teal` in the project this command is installed from, else in the current folder."""
    if given := environ.get("TEAL_HOME"):
        home = Path(given).expanduser().absolute()
    else:
        project = Path(teal.__file__).resolve().parents[1]
        home = (project if (project / "pyproject.toml").is_file() else Path.cwd()) / ".teal"
    # The INI dialect of supervisor cuts values at " ;" and " #" whatever the quotes, and Caddy cuts at quotes.
    if any(bad in str(home) for bad in (" ;", " #", "\n", '"', "'", "{", "}")):
        raise BadInput(
            "The folder's name holds characters that configuration files cut at",
            where=str(home),
            next="TEAL_HOME=/another/folder teal up",
        )
    return Layout(home)


def load(layout: Layout) -> StackState | None:
    """The kept state, or None before the first start."""
    try:
        return StackState.model_validate_json(layout.state_file.read_bytes())
    except FileNotFoundError:
        return None
    except (ValidationError, json.JSONDecodeError) as error:
        raise BadInput(f"The kept state cannot be read ({error.__class__.__name__})", where=str(layout.state_file),
                       next=f"teal down; rm {layout.state_file}; teal up") from error  # fmt: skip


def save(layout: Layout, state: StackState) -> None:
    """Write the state whole or not at all."""
    write_private(layout.state_file, state.model_dump_json(indent=2) + "\n")


def choose(previous: StackState | None, wish: Wish) -> StackState:
    """The previous choice with the wish applied; free ports where there was none."""
    if previous is None:
        free = free_ports(2 * APP_PROCESSES + 5)
        ports = Ports(
            public=wish.port or DEFAULT_PORT,
            blue=tuple(free[5 : 5 + APP_PROCESSES]),
            green=tuple(free[5 + APP_PROCESSES :]),
            workers=(free[3], free[4]),
            redis=free[0],
            elasticsearch=free[1],
            elasticsearch_transport=free[2],
        )
        return StackState(ports=ports, search=wish.search or "embedded")
    ports = previous.ports.model_copy(update={"public": wish.port or previous.ports.public})
    return previous.model_copy(update={"ports": ports, "search": wish.search or previous.search})


def with_free_ports(state: StackState) -> StackState:
    """Replace inner ports that somebody else took while the stack was down; the public one is the operator's to choose."""

    def keep(port: int) -> int:
        return port if is_free(port) else free_ports(1)[0]

    old = state.ports
    return state.model_copy(
        update={
            "ports": Ports(
                public=old.public,
                blue=tuple(keep(port) for port in old.blue),
                green=tuple(keep(port) for port in old.green),
                redis=keep(old.redis),
                elasticsearch=keep(old.elasticsearch),
                elasticsearch_transport=keep(old.elasticsearch_transport),
                workers=(keep(old.workers[0]), keep(old.workers[1])),
            )
        }
    )


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now, all different, below the range the kernel lends to outgoing connections."""
    found: list[int] = []
    for port in random.sample(INNER_PORTS, len(INNER_PORTS)):
        if is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise BadInput("No free port on loopback", where=f"127.0.0.1:{INNER_PORTS.start}-{INNER_PORTS.stop - 1}", next="teal doctor")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free for a server
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def prepare(layout: Layout) -> None:
    """Create the folders, closed to other users."""
    layout.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    for folder in (layout.conf, layout.conf / "parts", layout.logs, layout.data, layout.models, layout.corpus, layout.pages,
                   layout.keys, layout.caddy, layout.run, layout.traffic, layout.versions):  # fmt: skip
        folder.mkdir(exist_ok=True, mode=0o700)
        if folder.stat().st_uid != os.getuid():
            raise BadInput("The folder belongs to another user", where=str(folder), next="TEAL_HOME=/your/own/folder teal up")


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner can read, by rename, so that a reader sees the old or the new one."""
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(part, path)
