"""An OpenAI-compatible endpoint on loopback that says what a test tells it to, as a stream."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class ScriptedModel:
    """`says` is its next answer. With `refuses` it refuses requests that have this parameter, as newer models refuse `max_tokens`."""

    says: str = ""
    refuses: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""


@contextmanager
def scripted_model() -> Iterator[ScriptedModel]:
    """Serves until the end of the block."""
    model = ScriptedModel()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            model.asked.append(body)
            if model.refuses and model.refuses in body:
                said = f"Unsupported parameter: '{model.refuses}' is not supported with this model."
                self._send(400, "application/json", json.dumps({"error": {"message": said, "param": model.refuses}}))
                return
            pieces = [model.says[start : start + 7] for start in range(0, len(model.says), 7)]
            events = [json.dumps({"choices": [{"delta": {"content": piece}}]}) for piece in pieces]
            self._send(200, "text/event-stream", "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]))

        def _send(self, status: int, kind: str, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    model.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
