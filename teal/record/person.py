"""The name of the person who runs this command: from TEAL_WHO, GitHub, git or the account."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

WHO_VARIABLE: Final = "TEAL_WHO"
_SECTION: Final = re.compile(r"\[\s{0,80}(\w{1,80})[^\]]{0,200}\]")


def person_name(environ: Mapping[str, str] | None = None, home: Path | None = None) -> str:
    """TEAL_WHO, else the person who started GitHub's run, else the name and address in ~/.gitconfig, else the account and machine."""
    said = os.environ if environ is None else environ
    if named := said.get(WHO_VARIABLE, "").strip():
        return named
    if run := said.get("GITHUB_RUN_ID"):
        return f"{said.get('GITHUB_ACTOR', 'github')} (run {run})"
    return _by_git(Path.home() if home is None else home) or f"{_account()}@{socket.gethostname()}"


def lease_holder() -> str:
    """The person, and the process that acts for them."""
    return f"{person_name()}, process {os.getpid()} on {socket.gethostname()}"


def _by_git(home: Path) -> str:
    """Name and address from ~/.gitconfig; empty without either.
    Only this file is read, so that no process is started for a name."""
    try:
        lines = (home / ".gitconfig").read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return ""
    section, user = "", {}
    for line in (line.strip() for line in lines):
        if found := _SECTION.match(line):
            section = found[1].lower()
        elif section == "user" and "=" in line:
            name, _, value = line.partition("=")
            user[name.strip().lower()] = value.strip().strip('"')
    name, address = user.get("name", ""), user.get("email", "")
    return f"{name} <{address}>" if name and address else name or address


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())  # a container without a passwd entry
