"""Runs inside the image's container, standard input to `python3 -`: a document goes in over HTTP, the worker indexes it, a search finds it.

argv: the key. Standard library only, because the image holds nothing else for tests.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from typing import Any

_DEADLINE_SECONDS = 60  # a cold worker on a loaded machine of 2 cores


def call(key: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """One JSON request to the app process of this container."""
    request = urllib.request.Request(
        f"http://127.0.0.1:8080{path}",
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def main() -> None:
    """Exit 0 when the document was found."""
    key = sys.argv[1]
    text = "The lighthouse keeper of Vaelholm writes the tide table with a green pencil."
    identifier = call(key, "POST", "/v1/documents", {"title": "Tides", "text": text})["id"]
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while (state := call(key, "GET", f"/v1/documents/{identifier}"))["status"] != "indexed":
        if state["status"] == "failed" or time.monotonic() > deadline:
            sys.exit(f"the document is {state['status']}, not indexed: {state['error']}")
        time.sleep(0.2)
    hits = call(key, "POST", "/v1/search", {"query": "who writes the tide table"})["hits"]
    if identifier not in [hit["document_id"] for hit in hits]:
        sys.exit(f"the indexed document was not found; hits: {hits}")
    print("the image's app took a document, its worker indexed it, a search found it")


if __name__ == "__main__":
    main()
