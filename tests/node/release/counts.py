"""A stand-in for Managed Prometheus: it scrapes the pods of both colors, keeps what ended pods had counted, and answers the releaser's queries,
which it knows by their text (teal/metrics/). Signatures are not checked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs

from contract.http import POD_PORT
from contract.names import NAMESPACES
from contract.pods import COMPONENT_LABEL
from contract.scrape import WORKER_METRICS_PORT
from teal.metrics.gates import GATES, counters
from teal.metrics.scrape import counts_on_page, fetch_page
from tests.cluster.apiserver import ApiServer

SCRAPE_SECONDS: Final = 3.0  # 30 on AWS
_LOOK_BACK_SECONDS: Final = 300.0  # Prometheus' own
_PORTS: Final = {"app": POD_PORT, "worker": WORKER_METRICS_PORT}


@dataclass
class Series:
    """`last`: of each pod of a namespace, when it was scraped and what it had counted."""

    server: ApiServer
    last: dict[tuple[str, str], tuple[float, dict[str, int]]] = field(default_factory=dict)
    url: str = ""
    _end: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._end.wait(SCRAPE_SECONDS):
            for namespace in NAMESPACES.values():
                with suppress(Exception):  # a pod or the server is away: the next scrape comes
                    self._scrape(namespace)

    def stop(self) -> None:
        self._end.set()

    def answer(self, query: str) -> dict[str, Any]:
        for namespace in NAMESPACES.values():
            selector = f'namespace="{namespace}"'
            rows = [row for (place, _), row in list(self.last.items()) if place == namespace]
            if query == f"count(teal_build_info{{{selector}}})":
                return _vector(sum(time.monotonic() - at < _LOOK_BACK_SECONDS for at, _ in rows) or None)
            for counter in counters(GATES):
                if query == counter.read.promql(selector):
                    held = [counts[counter.name] for _, counts in rows if counter.name in counts]
                    return _vector(sum(held) if held else None)
        return {"status": "error", "error": f"unexpected query {query}"}

    def _scrape(self, namespace: str) -> None:
        for pod in self.server.ask("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]:
            port = _PORTS.get(pod["metadata"].get("labels", {}).get(COMPONENT_LABEL, ""))
            address = pod["status"].get("podIP")
            if port is None or address is None or pod["status"].get("phase") != "Running":
                continue
            page = fetch_page(f"http://{address}:{port}/metrics", {})
            if page is not None:
                self.last[namespace, pod["metadata"]["uid"]] = (time.monotonic(), counts_on_page(page, counters(GATES)))


@contextmanager
def serving(server: ApiServer) -> Iterator[Series]:
    """In this thread's network."""
    series = Series(server)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            body = json.dumps(series.answer(asked["query"][0])).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    series.url = f"http://127.0.0.1:{listener.server_port}/api/v1/query"
    for work in (listener.serve_forever, series.run):
        threading.Thread(target=work, daemon=True).start()
    try:
        yield series
    finally:
        series.stop()
        listener.shutdown()
        listener.server_close()


def _vector(value: float | None) -> dict[str, Any]:
    result = [] if value is None else [{"metric": {}, "value": [1.0, str(value)]}]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}
