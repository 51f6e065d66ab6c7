"""The app and its ingestion in this process, on an empty state folder: the routes, the catalog, the index and the models are the real ones.

Only the job queue is left out: an accepted document is ingested by a thread of this process instead of a worker's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from app.catalog import index_outbox
from app.catalog.engine import Catalog, migrate
from app.catalog.ingestion_queries import Job
from app.indexing.group_commit import GroupCommit
from app.indexing.passages import ingest_settings
from app.ingestion.job_queue import Jobs
from app.ingestion.processor import Ingestion
from app.main import create_app
from app.models.embed import open_embedder, stamp
from app.search.engines import open_writer
from app.settings import Settings
from app.text.apart import READERS

_THREADS = 4  # documents in work at once: reading and embedding take turns
_SETTLE_SECONDS = 20.0


class _Direct(Jobs):
    """Runs jobs in threads of this process."""

    def __init__(self, settings: Settings, ingestion: Ingestion, pool: ThreadPoolExecutor) -> None:
        super().__init__(settings)
        self._ingestion = ingestion
        self._pool = pool
        self.running: list[Future[str]] = []

    def ingest(self, document_id: str, revision: int, key_id: str = "") -> None:
        self.running.append(self._pool.submit(self._ingestion.run, Job(document_id, revision)))

    def remove(self, document_id: str) -> None:
        self.running.append(self._pool.submit(self._ingestion.remove, document_id))


@dataclass(frozen=True, slots=True)
class Running:
    """The service. `client` reaches every route of it, without a key."""

    client: TestClient
    _jobs: _Direct = field(repr=False)

    def put(self, path: Path, collection: str) -> str:
        """Upload a file; its document's id. It is findable after `settle`."""
        answer = self.client.post(
            "/v1/documents/upload", files={"file": (path.name, path.read_bytes())}, data={"collection": collection}
        )
        if answer.status_code != 202:
            raise RuntimeError(f"{path.name} was not accepted: {answer.status_code} {answer.text}")
        return str(answer.json()["id"])

    def settle(self) -> dict[str, str]:
        """Wait until everything that was put is ingested; the documents that failed, and why."""
        while self._jobs.running:
            self._jobs.running.pop().result()
        deadline = time.monotonic() + _SETTLE_SECONDS
        while any(self.client.get("/v1/documents", params={"status": one}).json()["items"] for one in ("queued", "processing")):
            if time.monotonic() > deadline:
                raise TimeoutError("documents are ingested, but the app does not show them as indexed")
            time.sleep(0.1)
        failed = self.client.get("/v1/documents", params={"status": "failed", "limit": 500}).json()["items"]
        return {one["title"]: one["error"]["detail"] for one in failed}

    def ask(self, question: str, collections: Sequence[str] | None = None, **more: Any) -> dict[str, Any]:
        """The answer as `POST /v1/ask` gives it."""
        filters = {"collections": list(collections)} if collections else {}
        answer = self.client.post("/v1/ask", json={"question": question, "filters": filters, **more})
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body

    def search(self, query: str, collections: Sequence[str] | None = None, **more: Any) -> list[dict[str, Any]]:
        """The hits of `POST /v1/search`."""
        filters = {"collections": list(collections)} if collections else {}
        answer = self.client.post("/v1/search", json={"query": query, "filters": filters, **more})
        answer.raise_for_status()
        hits: list[dict[str, Any]] = answer.json()["hits"]
        return hits


@contextmanager
def running(settings: Settings) -> Iterator[Running]:
    """Start on the settings' state folder, which must be new; everything is stopped at the end."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    migrate(settings.sqlalchemy_url())
    stop, catalog, writer = threading.Event(), Catalog(settings.sqlalchemy_url()), open_writer(settings)
    writer.ensure(stamp(settings))
    with catalog.write() as session:
        index_outbox.register_index(session, settings.index, serving=True)
    embedder = open_embedder(settings)
    group_commit = GroupCommit(writer, catalog, stop, settings.index)
    group_commit.start()
    ingestion = Ingestion(catalog, group_commit, READERS.read, lambda: embedder, ingest_settings(settings), stop)
    application = create_app(settings)
    with ThreadPoolExecutor(_THREADS) as pool, TestClient(application) as client:
        jobs = application.state.service.jobs = _Direct(settings, ingestion, pool)
        try:
            yield Running(client, jobs)
        finally:
            pool.shutdown(cancel_futures=True)  # documents in work need the writer that closes next
            group_commit.drain(10)
            writer.close()
            catalog.close()
            READERS.close()
