"""A program that supervisord runs, as data: its command, its whole environment, and the file that `child.py` reads. Starts nothing."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from teal.laptop.layout import Layout
from teal.laptop.marks import HOME_MARK, PART_MARK

# The variables that programs get from the operator's shell. All others (TERM, SSH_..., PATH) differ between two shells and would
# make a second `teal up` look like a new configuration.
NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
           "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")  # fmt: skip
# Where pip finds packages, when it is not the public index.
PACKAGES = (
    "PIP_CONFIG_FILE",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_NO_INDEX",
    "PIP_TRUSTED_HOST",
    "PIP_CERT",
)
PLAIN = ("HOME", "TZ")
# These are passed on, but a changed value causes no restart:
# they differ between shells, or are renewed, without anyone's decision.
NOT_COMPARED = frozenset({"HOME", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", *NETWORK, *PACKAGES})
KEPT_BACK = ("TEAL_HOME", "TEAL_KEY", "TEAL_RULES", PART_MARK, HOME_MARK)


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised program. `once`: it is expected to end by itself. `stop_seconds`: time to drain before SIGKILL. `nice`: as nice(1)."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    user: str | None = None
    once: bool = False
    stop_seconds: int = 10
    nice: int = 0


def find_program(name: str) -> str | None:
    """The path of a program on this machine: in this environment's bin folder, where wheels put Caddy and Redis, else on PATH."""
    own = str(Path(sys.executable).parent)  # not resolved: the environment's bin, not the base interpreter's
    return shutil.which(name, path=os.pathsep.join((own, os.environ.get("PATH", os.defpath))))


def shell_env(environ: Mapping[str, str], names: tuple[str, ...], prefixes: tuple[str, ...] = ()) -> dict[str, str]:
    """The part of the operator's environment that one program uses, and a PATH that is the same in every shell."""
    kept = {name: value for name, value in environ.items()
            if value and name not in KEPT_BACK and (name in names or name.startswith(prefixes))}  # fmt: skip
    return kept | {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin")),
        "LANG": "C.UTF-8",
    }


def file_of(layout: Layout, name: str) -> Path:
    """The path of the program's JSON file, which `child.py` reads at each start."""
    return layout.conf / "parts" / f"{name}.json"


def program_json(program: Program, layout: Layout) -> str:
    """The JSON that `child.py` reads: the program, its whole environment with the marks,
    and the pid file of its required parent."""
    marked = {**program.env, PART_MARK: program.name, HOME_MARK: str(layout.home)}
    return (
        json.dumps(
            {
                "argv": program.argv,
                "env": marked,
                "cwd": program.cwd,
                "user": program.user,
                "nice": program.nice,
                "pidfile": str(layout.pidfile),
            },
            indent=1,
        )
        + "\n"
    )


def read_program(file: Path) -> dict[str, Any] | None:
    """The object that `program_json` wrote, with `argv` and `env`; None when the file is damaged."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("env"), dict) or not found.get("argv"):
        return None
    return found


def differences(name: str, old: str, new: str) -> tuple[str, ...]:
    """How two rendered programs differ: names of variables (never values), or the file's own name.
    Empty without a relevant difference."""
    try:
        before, after = json.loads(old), json.loads(new)
        was, now = dict(before.pop("env")), dict(after.pop("env"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return (name,)
    variables = {each for each in was.keys() | now.keys() if was.get(each) != now.get(each)} - NOT_COMPARED
    return (*sorted(variables), *(() if before == after else (name,)))


def changed(files: Mapping[Path, str]) -> list[str]:
    """What differs on disk from the wanted files: names of variables for programs, names of files for everything else."""
    found: set[str] = set()
    for path, text in files.items():
        old = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        if old != text:
            found.update(differences(path.name, old, text) if path.suffix == ".json" else (path.name,))
    return sorted(found)
