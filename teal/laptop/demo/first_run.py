"""The first `teal up`, from an empty folder to the first answer, as one sequence of events."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future

from teal.client.service import Client
from teal.events import Event
from teal.laptop.address import address
from teal.laptop.demo import corpus, seed
from teal.laptop.demo.corpus import Corpus
from teal.laptop.layout import Layout, create_folders
from teal.laptop.state import UpOptions
from teal.laptop.up import up


def first_run(layout: Layout, options: UpOptions, environ: Mapping[str, str], *, with_corpus: bool) -> Iterator[Event]:
    """Start the parts that do not run, then ensure that admin key and corpus exist.
    The corpus is fetched while the parts start."""
    started = time.monotonic()
    create_folders(layout)
    sent = seed.finished_seed(layout)
    fetched = _in_background(layout) if with_corpus and sent is None else None
    yield from up(layout, options, environ)
    key = seed.admin_key(layout, environ)
    where = address(layout, {}, key)
    told = False
    with Client(where) as client:
        if with_corpus and seed.is_complete(client, sent):
            counts = client.get("/v1/status")["documents"]
            waiting = int(counts.get("queued", 0)) + int(counts.get("processing", 0))
            going_on = f"; {waiting} documents are still being indexed (`teal status`)" if waiting else ""
            yield Event("corpus", "ok", f"here already{going_on}")
        elif with_corpus:
            for event in seed.seed_corpus(
                layout, client, fetched or _in_background(layout), clock=time.monotonic, started=started
            ):
                yield event
                if event.step == "answer":
                    told = True
                    yield page_event(where.url, key)
    if not told:
        yield page_event(where.url, key)


def page_event(url: str, key: str) -> Event:
    """The event with the page's address. Its link signs people in (the part after # never leaves the browser)."""
    return Event("page", "ok", url, data={"url": url, "sign_in": f"{url}/#key={key}"})


def _in_background(layout: Layout) -> Future[Corpus]:
    """Fetch the corpus in a thread that does not keep the command alive when it fails otherwise."""
    found: Future[Corpus] = Future()

    def work() -> None:
        try:
            found.set_result(corpus.load_corpus(layout))
        except BaseException as error:  # noqa: BLE001 - raised again by the future
            found.set_exception(error)

    threading.Thread(target=work, name="corpus", daemon=True).start()
    return found
