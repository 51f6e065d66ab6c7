"""The first minutes of a stack: an admin key, the demonstration corpus, and the first question as soon as it can be answered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from teal.client.service import Client
from teal.errors import OperatorError, ServiceRefused
from teal.events import Event
from teal.laptop import admin
from teal.laptop.address import address
from teal.laptop.demo.corpus import Corpus, CorpusDocument
from teal.laptop.files import write_private
from teal.laptop.layout import Layout

FIRST_PASSAGES = 300  # enough to answer from; the rest follows behind the bar
POLL_SECONDS = 0.5
LOOK_SECONDS = 1.0  # between looks while documents are still being sent
QUIET_SECONDS = 180.0  # no document finished for so long: something is wrong, say so instead of waiting on


def admin_key(layout: Layout, environ: Mapping[str, str]) -> str:
    """The stack's admin key, made at the first start and again when the catalog no longer knows it."""
    if layout.admin_key.is_file() and layout.admin_key.read_bytes().isascii():  # a damaged key is replaced like an unknown one
        key = layout.admin_key.read_text(encoding="utf-8", errors="replace").strip()
        try:
            with Client(address(layout, {}, key)) as client:
                client.get("/v1/status")
            return key
        except ServiceRefused as error:
            if error.status not in (401, 403):
                raise
    rows = admin.run_on(layout, ("keys", "create", "--role", "admin", "--name", "teal-up"))
    key = next(str(row["key"]) for row in rows if "key" in row)
    write_private(layout.admin_key, key + "\n")
    return key


def finished_seed(layout: Layout) -> dict[str, Any] | None:
    """The receipt of a corpus that an earlier run sent completely; None when there is none."""
    try:
        found = json.loads((layout.corpus / "sent.json").read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else None
    except (OSError, ValueError):
        return None


def is_complete(client: Client, sent: Mapping[str, Any] | None) -> bool:
    """Whether the catalog still has every document of the receipt."""
    if sent is None:
        return False
    have = {row["name"]: row["documents"] for row in client.get("/v1/collections")["items"]}
    return int(have.get(sent["collection"], 0)) >= int(sent["documents"])


def seed_corpus(
    layout: Layout, client: Client, corpus: Future[Corpus], *, clock: Callable[[], float], started: float
) -> Iterator[Event]:
    """Send the corpus, ask the first question at 300 passages, follow the rest. Repeating it sends nothing twice."""
    found = corpus.result()
    if found.reduced:
        yield Event("corpus", "warn", f"Django's documentation could not be fetched ({found.reduced}); taking {found.name} ({found.licence}) instead. "
                    "`teal up` tries again")  # fmt: skip
    yield Event(
        "corpus",
        "start",
        f"sending {len(found.texts)} documents: {found.name} ({found.licence})",
        data={"collection": found.collection},
    )
    first_id, answered, looked = "", False, clock()
    for number, text in enumerate(found.texts):
        accepted = client.send_text(wire(text, found.collection))
        first_id = first_id or str(accepted["id"])
        yield Event("send", "progress", done=number + 1, total=len(found.texts))
        if not answered and clock() - looked > LOOK_SECONDS:
            looked, answered = clock(), can_answer_first_question(client, client.get("/v1/status"), first_id)
            if answered:
                yield first_answer(client, found.question, seconds=clock() - started)
    if not found.reduced:
        write_private(layout.corpus / "sent.json", json.dumps({"collection": found.collection, "documents": len(found.texts)}))
    for event in follow_indexing(client, clock=clock):
        status = event.data["status"]
        if not answered and (event.done == event.total or can_answer_first_question(client, status, first_id)):
            answered = True
            yield first_answer(client, found.question, seconds=clock() - started)
        yield Event("index", "progress", f"{status['search']['passages']} passages", event.done, event.total)
    counts = client.get("/v1/status")["documents"]
    failed = int(counts.get("failed", 0))
    yield Event(
        "corpus",
        "warn" if failed else "ok",
        f"{counts.get('indexed', 0)} documents indexed" + (f", {failed} failed: `teal status`" if failed else ""),
    )


def can_answer_first_question(client: Client, status: Mapping[str, Any], first_id: str) -> bool:
    """Whether 300 passages are indexed, those of the question's own document among them."""
    if int(status["search"]["passages"] or 0) < FIRST_PASSAGES:
        return False
    return client.get(f"/v1/documents/{first_id}")["status"] in ("indexed", "failed")


def wire(text: CorpusDocument, collection: str) -> dict[str, object]:
    """The body of POST /v1/documents."""
    return {"title": text.title, "text": text.text, "source": text.source, "collection": collection}


def first_answer(client: Client, question: str, *, seconds: float) -> Event:
    """The answer as an event, with how long after the start it came."""
    answer = client.ask(question)
    return Event("answer", "ok", str(answer["answer"]), data={"question": question, "citations": answer["citations"], "label": answer.get("label", ""),
                                                             "grounded": answer["grounded"], "degraded": answer.get("degraded"), "seconds": round(seconds, 1)})  # fmt: skip


def follow_indexing(
    client: Client, *, clock: Callable[[], float], pause: Callable[[float], None] = time.sleep
) -> Iterator[Event]:
    """Yield the progress of indexing until nothing waits. `data["status"]` is the service's /v1/status.
    Raises when indexing stalls."""
    last, moved_at = (-1, -1), clock()
    while True:
        status = client.get("/v1/status")
        counts = status["documents"]
        total = sum(int(count) for count in counts.values())
        waiting = int(counts.get("queued", 0)) + int(counts.get("processing", 0))
        yield Event("index", "progress", done=total - waiting, total=total, data={"status": status})
        if waiting == 0:
            return
        now = (waiting, int(status["search"]["passages"] or 0))
        if now != last:
            last, moved_at = now, clock()
        elif clock() - moved_at > QUIET_SECONDS:
            raise OperatorError(
                f"Indexing stands still: {waiting} documents wait and none moved for {QUIET_SECONDS:.0f} s",
                where="worker",
                next="teal logs worker",
            )
        pause(POLL_SECONDS)
