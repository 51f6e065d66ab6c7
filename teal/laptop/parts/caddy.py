"""Caddy, the load balancer: its configuration is in `caddyfile.py`, its certificates in `certificates.py`."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from importlib import resources
from pathlib import Path

from teal.errors import BadInput
from teal.events import Event
from teal.laptop.address import address, probe_address
from teal.laptop.caddyfile import max_body_bytes, render_caddyfile
from teal.laptop.certificates import REFUSED, damaged_authority, remove_damaged, served_certificate
from teal.laptop.layout import Layout
from teal.laptop.loopback import described, hosts, is_free, listeners_on
from teal.laptop.parts.part import CheckRow, Part, PartContext
from teal.laptop.program import PLAIN, Program, shell_env
from teal.laptop.reap import is_ours
from teal.laptop.secrets import probe_secret
from teal.record.model import COLORS

PAGES = ("unavailable.html", "not-found.html")
STOP_SECONDS = 25  # its own grace period is 20 s


class CaddyPart(Part):
    """HTTPS for people. Nothing can be reached without it, so `teal up` refuses to start when it is missing."""

    name = "caddy"

    def programs(self, place: PartContext) -> tuple[Program, ...]:
        binary = place.find(self.name)
        if binary is None:
            raise BadInput("Caddy is missing from this environment", where=str(Path(sys.executable).parent), next="make up")
        layout = place.layout
        env = shell_env(place.environ, PLAIN) | {"XDG_DATA_HOME": str(layout.caddy), "XDG_CONFIG_HOME": str(layout.caddy)}
        argv = (binary, "run", "--adapter", "caddyfile", "--config", str(layout.conf / "Caddyfile"))
        return (Program(self.name, argv, env, str(layout.home), stop_seconds=STOP_SECONDS),)

    def files(self, place: PartContext) -> Mapping[Path, str]:
        text = render_caddyfile(
            place.layout,
            place.state,
            hosts(),
            body_bytes=max_body_bytes(place.environ),
            probe_secrets={color: probe_secret(place.layout, color) for color in COLORS},
        )
        return {place.layout.conf / "Caddyfile": text}

    def broken(self, place: PartContext) -> str | None:
        _, problem = served_certificate(place.state.ports.public, place.layout.ca)
        return problem if problem and problem.startswith(REFUSED) else None

    def before_start(self, place: PartContext) -> Iterator[Event]:
        write_pages(place.layout.pages)
        # Caddy loads an expired certificate and renews it minutes later; with no certificate it makes one at once.
        shutil.rmtree(place.layout.caddy / "certificates", ignore_errors=True)
        yield from remove_damaged(place.layout)

    def health(self, place: PartContext, program: str) -> tuple[bool, str]:
        return probe_address(address(place.layout, {}))

    def status(self, place: PartContext, known: Collection[str]) -> list[CheckRow]:
        rows = [certificate_row(*served_certificate(place.state.ports.public, place.layout.ca), time.time())]
        if name := damaged_authority(place.layout):
            said = f"{name}.crt and {name}.key in {place.layout.ca.parent} do not belong together: Caddy cannot start anew or renew with them"
            rows.append(CheckRow("authority", False, said, "teal down, then teal up (it makes new ones)"))
        return rows

    def doctor(self, place: PartContext) -> list[CheckRow]:
        binary = place.find(self.name)
        return [
            CheckRow("caddy", bool(binary), binary or "missing: no HTTPS", "" if binary else "make up"),
            port_row(place.layout, place.state.ports.public),
            trust_row(place.layout),
        ]


def certificate_row(end: float | None, problem: str | None, now: float) -> CheckRow:
    """How long the served certificate is valid. Caddy renews a certificate after two thirds of its lifetime."""
    if end is None:
        return CheckRow("certificate", False, problem or "nobody serves one", "teal up (it makes a new one)")
    return CheckRow("certificate", True, f"valid for {(end - now) / 3600:.1f} h more")


def port_row(layout: Layout, port: int) -> CheckRow:
    """Whether the public port is free, or already this stack's own."""
    if all(is_free(port, host) for host in hosts()):
        return CheckRow("port", True, f"{port} is free")
    found = listeners_on(port)
    foreign = next((process for process in found if not is_ours(layout, process)), None)
    if found and foreign is None:
        return CheckRow("port", True, f"{port} is ours")
    return CheckRow("port", False, f"{port} is in use{described(foreign)}", f"teal up --port {port + 1}")


def trust_row(layout: Layout) -> CheckRow:
    """A hint, never a fault: the browser warns once because the stack's own CA signed the certificate."""
    ca = layout.ca
    if not ca.is_file():
        return CheckRow("browser", True, "the certificate is made at the first start")
    return CheckRow("browser", True, f"to have no warning, import {ca} into the browser's authorities; for curl: --cacert {ca}")


def write_pages(folder: Path) -> None:
    """Put the error pages beside the configuration, so that a running Caddy does not depend on the source tree."""
    for name in PAGES:
        text = resources.files("teal.laptop.parts").joinpath("pages", name).read_text(encoding="utf-8")
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text:
            (folder / name).write_text(text, encoding="utf-8")
