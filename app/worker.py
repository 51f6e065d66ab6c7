"""The worker process: `python -m app.worker`. It ingests queued documents into the search index.

It may be killed at any moment: the catalog and the job queue record what is not finished, and a worker does it again.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter

from app.backup.schedule import BackupSchedule
from app.catalog import index_outbox
from app.catalog.engine import Catalog, schema_revision
from app.catalog.ingestion_queries import Job
from app.catalog.phases import OLDEST_REVISION
from app.errors import TealError
from app.indexing.group_commit import LONGEST_PAUSE_SECONDS, GroupCommit
from app.indexing.outbox_consumer import OutboxConsumer
from app.indexing.passages import DocumentReader, ingest_settings
from app.ingestion.housekeeping import HOUSEKEEPING_SECONDS, Housekeeping
from app.ingestion.job_queue import APPLICATION, INGEST, REMOVE, Jobs, jobs_engine, quiet_dbos
from app.ingestion.processor import Ingestion
from app.models.port import Embedder, Stamp, Vector
from app.observability import exposition
from app.observability.tracing import ModelCall
from app.search.port import SearchWriter
from app.settings import Settings, settings
from app.statistics.observer import Observer
from app.text.apart import READERS

if TYPE_CHECKING:
    from dbos import DBOS
    from sqlalchemy import Engine

IN_FLIGHT: Final = 256  # documents taken from the queue and not committed yet; most of them only wait for the next group commit
POLL_SECONDS: Final = 0.2  # DBOS asks for work this often: 5 cheap queries a second when idle
LOOPBACK: Final = "127.0.0.1"  # metrics need no key, so they are served beyond this machine only when an address is given
STOP_SECONDS: Final = 18.0  # supervisors kill after 20 s or more
MODEL_CHECK_SECONDS: Final = 10.0  # a check looks for two files; an operator who fetched the model waits this long
_JOBS_CONNECTIONS: Final = 4  # SQLite has one writer anyway; waiting in our pool is fairer than on its lock
_POSTGRES_JOBS_CONNECTIONS: Final = 10

RESULTS: Final = Counter("teal_ingest_documents_total", "Documents by result", ("result",))
EMBED_SECONDS: Final = Counter("teal_ingest_embedding_seconds_total", "Time spent embedding")
log = logging.getLogger("app.worker")


@dataclass(frozen=True, slots=True)
class WorkerDependencies:
    """The functions with which the worker opens its parts; tests replace them by ones whose parts misbehave."""

    open_writer: Callable[[Settings], SearchWriter]
    open_embedder: Callable[[Settings], Embedder | None]
    stamp: Callable[[Settings], Stamp]
    read: DocumentReader = READERS.read


class LazyEmbedder:
    """Opens the embedder. Missing model files are looked for every ten seconds, so that a
    model fetched later needs no restart."""

    def __init__(self, settings: Settings, open_embedder: Callable[[Settings], Embedder | None]) -> None:
        self._settings = settings
        self._open = open_embedder
        self._embedder: Embedder | None = None
        self._lock = threading.Lock()
        self._looked_at = float("-inf")

    def current(self) -> Embedder | None:
        """The embedder, or None while its files are missing."""
        if self._embedder is None and self._settings.embedding != "none":
            with self._lock:
                if self._embedder is None and time.monotonic() - self._looked_at >= MODEL_CHECK_SECONDS:
                    self._looked_at = time.monotonic()
                    self._look()
        return self._embedder

    def _look(self) -> None:
        try:
            found = self._open(self._settings)
        except TealError as error:
            log.warning("the embedding model cannot be used: %s", error.detail)
        except Exception:
            log.exception("the embedding model cannot be opened; next: `python -m app.admin doctor`")
        else:
            if found is None:
                log.warning("there is no embedding model: documents are found by words alone. Next: `python -m app.admin doctor`")
            else:
                log.info("embedding with %s", found.stamp.model)
                self._embedder = _Measured(found, self._settings.embedding)


class _Measured:
    """An embedder that measures the time of its calls and traces them."""

    def __init__(self, embedder: Embedder, provider: str) -> None:
        self._embedder = embedder
        self._provider = provider
        self.stamp = embedder.stamp

    def passages(self, texts: Sequence[str]) -> list[Vector]:
        began = time.perf_counter()
        with ModelCall("embeddings", self._provider, self.stamp.model):
            vectors = self._embedder.passages(texts)
        EMBED_SECONDS.inc(time.perf_counter() - began)
        return vectors

    def query(self, text: str) -> Vector:
        return self._embedder.query(text)

    def reads(self, text: str) -> bool:
        return self._embedder.reads(text)


def serve(
    settings: Settings,
    parts: WorkerDependencies,
    *,
    metrics_port: int | None,
    stop: threading.Event,
    metrics_address: str = LOOPBACK,
) -> None:
    """Work until `stop` is set, then drain: return when everything in hand is committed, or
    after 18 s and leave the rest to recovery."""
    executor_id = f"{settings.color}-{settings.slot}"
    if metrics_port is not None:
        exposition.serve_metrics(metrics_port, metrics_address, settings.metrics_token)
    if not _until("the catalog's schema", lambda: _schema_is_ready(settings), stop):
        return
    catalog = Catalog(settings.sqlalchemy_url())
    writer = parts.open_writer(settings)
    if not _until("the search engine", lambda: bool(writer.ensure(parts.stamp(settings))), stop):
        return
    model = LazyEmbedder(settings, parts.open_embedder)
    model.current()
    if not _until("the catalog", lambda: _registered(catalog, settings.index), stop):
        return
    group_commit = GroupCommit(writer, catalog, stop, settings.index)
    shape = ingest_settings(settings)
    jobs = Jobs(settings)
    ingestion = Ingestion(catalog, group_commit, parts.read, model.current, shape, stop, jobs.place)
    housekeeping = Housekeeping(
        catalog,
        jobs,
        group_commit,
        lambda: model.current() is not None,
        executor_id,
        settings.release_id,
        ingestion.longest,
        query_sample=settings.sampled(),
    )
    group_commit.start()
    consumer = OutboxConsumer(catalog, writer, settings.index, parts.read, model.current, shape)
    threading.Thread(target=consumer.run, args=(stop,), name="outbox-consumer", daemon=True).start()
    threading.Thread(target=BackupSchedule(settings, catalog).run, args=(stop,), name="snapshots", daemon=True).start()
    Observer(settings, catalog.engine, stop).start()
    housekeeping.run()
    dbos = _launch(settings, executor_id, ingestion)
    log.info("worker ready: %s, release %s", executor_id, settings.release_id)
    while not stop.wait(HOUSEKEEPING_SECONDS):
        housekeeping.run()
    began = time.monotonic()
    for event in dbos.background_thread_stop_events:
        event.set()  # ends the dequeuing only: `DBOS.destroy` would close the database under workflows that are finishing
    ingestion.finish(STOP_SECONDS)
    group_commit.drain(max(0.0, STOP_SECONDS - (time.monotonic() - began)))
    group_commit.settle()
    writer.close()
    log.info("worker stopped after %.1f s; what was not finished is recovered at the next start", time.monotonic() - began)


def _launch(settings: Settings, executor_id: str, ingestion: Ingestion) -> DBOS:
    quiet_dbos()
    from dbos import DBOS

    engine: Engine = jobs_engine(settings, _JOBS_CONNECTIONS if settings.database_url is None else _POSTGRES_JOBS_CONNECTIONS)
    dbos = DBOS(
        config={
            "name": APPLICATION,
            "system_database_url": settings.jobs_url(),
            "system_database_engine": engine,
            "executor_id": executor_id,
            "application_version": settings.release_id,
            "run_migrations": False,
            "enable_otlp": settings.otlp_endpoint is not None,  # by the provider that app/observability/tracing.py has set
            "otel_attribute_format": "semconv",
            "log_level": "WARNING",
        }
    )

    @DBOS.workflow(name=INGEST, max_recovery_attempts=None)  # the catalog's count of attempts is the limit instead
    def ingest(document_id: str, revision: int) -> str:
        outcome = ingestion.run(Job(document_id, revision))
        RESULTS.labels(outcome).inc()
        return outcome

    @DBOS.workflow(name=REMOVE, max_recovery_attempts=None)
    def remove(document_id: str) -> str:
        return ingestion.remove(document_id)

    DBOS.launch()
    for queue, concurrency in ((INGEST, IN_FLIGHT), (REMOVE, IN_FLIGHT)):
        DBOS.register_queue(queue, worker_concurrency=concurrency, polling_interval_sec=POLL_SECONDS, on_conflict="always_update")
    return dbos


def _registered(catalog: Catalog, index: str) -> bool:
    """Register the index as serving. From then on a document counts as indexed only when this index has it too, whichever color
    ingested it. Returns True."""
    with catalog.write() as session:
        return index_outbox.register_index(session, index, serving=True).serving


def _schema_is_ready(settings: Settings) -> bool:
    revision = schema_revision(settings.sqlalchemy_url())
    return revision is not None and revision >= OLDEST_REVISION  # newer is fine: a release only expands the schema


def _until(what: str, ready: Callable[[], bool], stop: threading.Event) -> bool:
    """Wait until `ready` returns True, and log what is waited for. Returns False when `stop` is set first."""
    pause = 0.5
    while not stop.is_set():
        try:
            if ready():
                return True
            log.warning("the worker waits for %s. Next: `python -m app.admin migrate`", what)
        except TealError as error:
            log.warning("the worker waits for %s: %s", what, error.detail)
        stop.wait(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
    return False


def main(arguments: Sequence[str] | None = None, parts: WorkerDependencies | None = None) -> None:
    """Entry of `python -m app.worker [--metrics-port N [--metrics-address A]]`; ends with 0 on SIGTERM and SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m app.worker", description="Takes queued documents to the search index.")
    parser.add_argument("--metrics-port", type=int, default=None, help="serve Prometheus metrics on this port")
    parser.add_argument("--metrics-address", default=LOOPBACK, help=f"and on this address; {LOOPBACK} when not given")
    options = parser.parse_args(arguments)
    from app.observability import logging as logs
    from app.observability import metrics, tracing

    logs.configure_logging(settings(), "worker")
    metrics.configure_metrics(settings())
    tracing.configure_tracing(settings(), "worker")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    serve(
        settings(), parts or real_parts(), metrics_port=options.metrics_port, stop=stop, metrics_address=options.metrics_address
    )
    tracing.flush_traces()
    logging.shutdown()
    os._exit(0)  # parked workflows block their threads for ever, so that DBOS recovers them and does not record them as finished


def real_parts() -> WorkerDependencies:
    """The search engine and model the settings name."""
    from app.models.embed import open_embedder, stamp
    from app.search.engines import open_writer

    return WorkerDependencies(open_writer, open_embedder, stamp)


if __name__ == "__main__":
    main()
