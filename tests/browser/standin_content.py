"""What the stand-in service says: sources, documents, and the stream of each question."""

from __future__ import annotations

import asyncio
import html
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

HOSTILE = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'
UNBROKEN = "w" * 120  # wider than any phone
STEP_SECONDS = 0.4  # long enough for the page to show each state of a document

SOURCES: list[dict[str, Any]] = [
    {
        "document_id": "d-io",
        "title": "io: Core tools for working with streams",
        "passage": "Text files are iterable by line. Iterating over a file object yields one line at a time, so the whole file is never held in memory. "
        "This makes it fit for files larger than the memory of the machine.\n\nThe with statement closes the file when the block is left, even after an error.",
        "score": 0.912,
        "source": "https://docs.example.org/library/io.html",
        "collection": "python",
    },
    {
        "document_id": "d-tutorial",
        "title": "Tutorial: Reading and writing files",
        "passage": "For reading lines from a file, you can loop over the file object. This is memory efficient, fast, and leads to simple code.",
        "score": 0.844,
        "source": "tutorial/inputoutput.txt",
        "collection": "python",
    },
    {
        "document_id": "d-linecache",
        "title": "linecache: Random access to text lines",
        "passage": "The linecache module allows one to get any line from a Python source file, while attempting to optimize internally, "
        "using a cache, which is done to make tracebacks cheap. It serves the common case where many lines are read.",
        "score": 0.391,
        "source": None,
        "collection": "python",
    },
]
ANSWER = (
    "Iterating over a file object yields one line at a time, so the whole file is never held in memory. [1] "
    "This is memory efficient, fast, and leads to simple code. [2]\n\n"
    "The with statement closes the file when the block is left, even after an error. [1]"
)
MARKDOWN = (
    "## In short\n\nUse **`with`** and *loop* over the file [1].\n\n- one line at a time [2]\n- see [the manual](https://docs.example.org/io) "
    "or [this](javascript:alert)\n\n| Way | Memory |\n| --- | --- |\n| loop | small |\n| read | large |\n\n"
    "```python\nfor line in file:\n    print(line)  # [1] is code\n```\n\n<b>No tag</b> ![picture](https://elsewhere.example.org/a.png)"
)
EXTRACTIVE = "Extracted from the sources, no language model"


@dataclass
class Document:
    id: str
    title: str
    collection: str = "python"
    source: str | None = None
    started: float = 0.0
    outcome: str = "indexed"
    attempts: int = 1
    passages: int = 3
    warnings: tuple[str, ...] = ()
    created_at: str = "2026-01-05T09:30:00Z"

    def view(self) -> dict[str, Any]:
        steps = (time.monotonic() - self.started) / STEP_SECONDS
        status = "queued" if steps < 1 else "processing" if steps < 4 else self.outcome
        error = {
            "code": "unsupported-media",
            "detail": "The PDF holds no text: its pages are pictures.",
            "action": "Run text recognition over it, then send it again.",
        }
        return {
            "id": self.id, "title": self.title, "source": self.source, "collection": self.collection, "metadata": {}, "status": status,
            "media_type": "text/plain", "bytes": 1200, "progress": min(max((steps - 1) / 3, 0), 1), "passages": self.passages if status == "indexed" else 0,
            "error": error if status == "failed" else None, "warnings": list(self.warnings) if status == "indexed" else [], "created_at": self.created_at, "updated_at": self.created_at,
        }  # fmt: skip


def _event(name: str, data: Any) -> str:
    return f"event: {name}\r\ndata: {json.dumps(data)}\r\n\r\n"


async def script(question: str, stopped: Callable[[], None], go_on: asyncio.Semaphore) -> AsyncIterator[str]:
    """The stream for a question: `slow`, `silent`, `fails`, `cut`, `nothing`, `near`, `hostile`, `markdown`, `words only`, `uncited`.
    `go_on`: released for each step of `uncited`."""
    pause = 0.25 if "slow" in question else 0.02
    hits = [dict(source, passage=source["passage"]) for source in SOURCES]
    degraded = "No embedding model is available, so only words were searched." if "words only" in question else None
    answer, cited, grounded = ANSWER, SOURCES[:2], True
    if "nothing" in question:
        hits, cited, grounded, answer = [], [], False, "I don't know: nothing in the documents answers this."
    if "near" in question:
        cited, grounded, answer = [], False, "I don't know: the documents I can see do not answer this."
    if "markdown" in question:
        answer = MARKDOWN
    if "hostile" in question:
        cited = [
            {
                **SOURCES[0],
                "document_id": "d-hostile",
                "title": f"Title {HOSTILE} {UNBROKEN}",
                "passage": f"Passage {HOSTILE} {UNBROKEN} end.",
            }
        ]
        answer = f"Answer {HOSTILE} {UNBROKEN} goes on. [1]"
    yield ": heartbeat\r\n\r\n"
    await asyncio.sleep(pause)
    yield _event("retrieval", {"hits": hits, "mode": "lexical" if degraded else "hybrid", "degraded": degraded})
    if "uncited" in question:
        async for event in _uncited(go_on):
            yield event
        return
    try:
        for number, word in enumerate(re.findall(r"\S+\s*", answer)):
            if "silent" in question and number == 3:
                await asyncio.sleep(600)
            if "fails" in question and number == 8:
                yield _event("error", {
                    "title": "The language model does not answer", "status": 503, "detail": "Bedrock closed the stream.", "code": "model-unavailable",
                    "action": "Try again shortly; search still works.", "request_id": "req-stream-1",
                })  # fmt: skip
                return
            if "cut" in question and number == 8:
                raise ConnectionResetError("cut on purpose")
            for half in (word[: len(word) // 2], word[len(word) // 2 :]):  # pieces end inside markers, as real tokens do
                yield _event("token", {"text": half})
            if number % 5 == 0:
                yield ": heartbeat\r\n\r\n"
            await asyncio.sleep(pause)
    except asyncio.CancelledError:
        stopped()
        raise
    citations = [{"n": n, **{k: c[k] for k in ("document_id", "title", "passage")}} for n, c in enumerate(cited, 1)]
    for citation in citations:
        yield _event("citation", citation)
    near = [
        {"n": n, "quote": hit["passage"].split(". ")[-1], **{k: hit[k] for k in ("document_id", "title", "passage")}}
        for n, hit in enumerate(hits[:3], 1)
    ]
    done = {"answer": answer, "grounded": grounded, "label": EXTRACTIVE, "citations": citations}
    yield _event("done", done | ({} if grounded else {"nearest": near}))


UNCITED = "😀 Files are made of paper. "
CITED = "One line is read at a time [Source 1]."


async def _uncited(go_on: asyncio.Semaphore) -> AsyncIterator[str]:
    """A language model's words as the real service sends them for `stream: "words"`: a sentence without a source is taken back. Each state
    stays until the test has seen it: looks at a page are up to a second apart."""
    for word in re.findall(r"\S+\s*", UNCITED):
        yield _event("words", {"text": word})
    await go_on.acquire()
    yield _event("words", {"text": CITED})
    yield _event("retract", {"from": 0, "to": len(UNCITED)})
    await go_on.acquire()
    yield _event("retract", {"from": len(UNCITED), "to": len(UNCITED + CITED)})
    answer = "One line is read at a time [1]."
    yield _event("token", {"text": answer})
    citation = {"n": 1, **{k: SOURCES[0][k] for k in ("document_id", "title", "passage")}}
    yield _event("citation", citation)
    yield _event("words", {"text": " No doubt"})
    await go_on.acquire()
    yield _event("retract", {"from": len(UNCITED + CITED), "to": len(UNCITED + CITED) + len(" No doubt")})
    yield _event("done", {"answer": answer, "grounded": True, "label": "Written by a model.", "citations": [citation]})


def outcome(filename: str) -> str:
    return "failed" if "scanned" in filename else "indexed"


def highlight(text: str, query: str) -> str:
    words = [re.escape(html.escape(word)) for word in query.split()]
    return re.sub(rf"\b({'|'.join(words)})\b", r"<mark>\1</mark>", html.escape(text), flags=re.IGNORECASE)
