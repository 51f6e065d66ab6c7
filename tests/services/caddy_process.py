"""A real Caddy with the stack's configuration in front of stand-in processes, one per color and slot."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx

from teal.client.entry import PROBE_HEADER, ColorEndpoint
from teal.laptop import caddyfile
from teal.laptop.files import write_private
from teal.laptop.layout import Layout, create_folders
from teal.laptop.parts import caddy
from teal.laptop.program import find_program
from teal.laptop.state import UpOptions, choose_state
from teal.laptop.traffic import CaddyTraffic
from teal.ports.traffic import all_to
from teal.record.model import COLORS, Color
from tests.services.http_stand_in import Handler, listening
from tests.services.ports import free_port
from tests.services.required import require

START_SECONDS = 60.0  # at the lowest priority beside a load of 11 it took over 15


@dataclass(frozen=True)
class Front:
    """`traffic`: the adapter; `url`, `ca`: where clients go; `layout`: its folder."""

    layout: Layout
    traffic: CaddyTraffic
    url: str
    process: subprocess.Popen[bytes]

    def client(self, **named: object) -> httpx.Client:
        verify = ssl.create_default_context(cafile=str(self.layout.ca))
        return httpx.Client(base_url=self.url, verify=verify, trust_env=False, timeout=30, **named)  # type: ignore[arg-type]


def handler(color: Color) -> type[BaseHTTPRequestHandler]:
    """Answers every request with its color."""

    class App(Handler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536  # one segment an answer: two wait for each other 40 ms (Nagle, delayed acknowledgement)

        def _color(self) -> None:
            self.received()
            self.answer(body=json.dumps({"color": color}).encode())

        do_GET = do_POST = _color

    return App


@contextmanager
def start(folder: Path, apps: dict[Color, tuple[type[BaseHTTPRequestHandler], ...]] | None = None) -> Iterator[Front]:
    """Caddy with everything to blue; `apps`: the handlers behind each color."""
    binary = find_program("caddy")
    require("caddy", "make up", binary is not None)
    home = Layout(folder / ".teal")
    create_folders(home)
    state = choose_state(None, UpOptions(port=free_port()))
    chosen = apps or {color: (handler(color),) * 2 for color in COLORS}
    secrets: dict[Color, str] = {"blue": "b" * 48, "green": "9" * 48}
    url = f"https://localhost:{state.ports.public}"
    entries = {color: ColorEndpoint(url, {PROBE_HEADER: secrets[color]}, str(home.ca)) for color in COLORS}
    traffic = CaddyTraffic(home.traffic, entries)
    traffic.set(all_to("blue"))
    configuration = home.conf / "Caddyfile"
    write_private(
        configuration,
        caddyfile.render_caddyfile(home, state, ("127.0.0.1",), body_bytes=caddyfile.max_body_bytes({}), probe_secrets=secrets),
    )
    caddy.write_pages(home.pages)
    command = [str(binary), "run", "--adapter", "caddyfile", "--config", str(configuration)]
    with ExitStack() as running:
        for color in COLORS:
            for port, made in zip(state.ports.apps(color), chosen[color], strict=True):
                running.enter_context(listening(made, port=port))
        process = subprocess.Popen(command, stderr=(home.logs / "caddy.err").open("wb"))
        front = Front(home, traffic, url, process)
        try:
            _wait(front)
            yield front
        finally:
            process.terminate()
            process.wait(30)


def _wait(front: Front) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with front.client() as http:
                if http.get("/").status_code == 200:
                    return
        except (httpx.TransportError, OSError):
            pass
        if time.monotonic() > deadline:
            raise TimeoutError((front.layout.logs / "caddy.err").read_text()[-2000:])
        time.sleep(0.05)
