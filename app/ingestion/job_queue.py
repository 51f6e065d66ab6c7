"""The job queue, which DBOS keeps: a job is a row in the database of DBOS, which is beside or inside the catalog's database.

A job is a workflow with the id `ingest-<document>-<revision>`, so enqueueing is idempotent. The catalog is authoritative: the
worker's housekeeping finds and enqueues a job that could not be enqueued before.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine, create_engine, event, make_url

from app.catalog.engine import POSTGRES_KEEPALIVE, ensure_wal, leave_when_read_only, set_silence_timeout
from app.catalog.ingestion_queries import Job
from app.errors import CatalogUnavailable
from app.ingestion.fair_places import FairPlaces
from app.observability.tracing import context_to_store
from app.settings import Settings
from contract.jobs import INGEST as INGEST
from contract.jobs import REMOVE as REMOVE

if TYPE_CHECKING:
    from dbos import DBOSClient, EnqueueOptions

APPLICATION: Final = "teal"  # owner of the jobs in the DBOS database
_BUSY_MILLISECONDS: Final = 5_000  # a job that cannot be enqueued in this time is found by the worker's housekeeping
_CLIENT_CONNECTIONS: Final = 2  # enqueueing takes a millisecond; the catalog has its own connections
_CONNECT_SECONDS: Final = 3
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobHolder:
    """The worker that holds a job. `finished`: the job's workflow has ended, whatever the catalog says."""

    executor_id: str | None
    release_id: str | None
    finished: bool


@dataclass(frozen=True, slots=True)
class UnfinishedJob:
    """An unfinished job of a release: its DBOS id, its kind and its arguments."""

    workflow_id: str
    kind: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Opened:
    client: DBOSClient
    engine: Engine
    places: FairPlaces


class Jobs:
    """Enqueues jobs. Thread-safe; connects at first use. `ingest` and `remove` are best effort and never raise."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._opened: _Opened | None = None

    def ingest(self, document_id: str, revision: int, key_id: str = "") -> None:
        """Enqueue the ingestion of this revision of the document, in turn with the documents of other keys."""
        try:
            self.enqueue(Job(document_id, revision), key_id)
        except CatalogUnavailable as error:
            log.warning("document %s is left to the worker's housekeeping: %s", document_id, error.detail)

    def remove(self, document_id: str) -> None:
        """Enqueue the removal of a deleted document's passages."""
        try:
            self._enqueue(REMOVE, f"{REMOVE}-{document_id}", document_id)
        except CatalogUnavailable as error:
            log.warning("removal of %s is left to the worker's housekeeping: %s", document_id, error.detail)

    def enqueue(self, job: Job, key_id: str = "") -> None:
        """Like `ingest`, but raises `CatalogUnavailable` when the jobs database does not answer."""
        identity = workflow_id(job)
        place = self._call(lambda opened: opened.places.take(key_id, identity))
        self._enqueue(INGEST, identity, job.document_id, job.revision, place=place)

    def place(self, job: Job) -> int:
        """The job's place in the queue, where the lowest goes first; 0 for a job that was enqueued without a place."""
        found: int = self._call(lambda opened: opened.places.of(workflow_id(job)))
        return found

    def held(self, jobs: Sequence[Job]) -> Mapping[Job, JobHolder]:
        """The holder of each of these jobs; a job that was never enqueued is missing."""
        found = self._call(
            lambda opened: opened.client.list_workflows(
                workflow_ids=[workflow_id(job) for job in jobs], load_input=False, load_output=False
            )
        )
        by_id = {row.workflow_id: JobHolder(row.executor_id, row.app_version, row.status not in _UNFINISHED) for row in found}
        return {job: by_id[workflow_id(job)] for job in jobs if workflow_id(job) in by_id}

    def unfinished(self, release_id: str) -> list[UnfinishedJob]:
        """Every unfinished job of a release."""
        found = self._call(
            lambda opened: opened.client.list_workflows(app_version=release_id, status=sorted(_UNFINISHED), load_output=False)
        )
        return [UnfinishedJob(row.workflow_id, row.name, tuple((row.input or {}).get("args", ()))) for row in found]

    def cancel(self, workflow_ids: Sequence[str]) -> None:
        """Cancel workflows: no worker starts or recovers them any more. A worker that is
        running one finds that its revision is gone."""
        if workflow_ids:
            self._call(lambda opened: opened.client.cancel_workflows(list(workflow_ids)))

    def fork(self, workflow_id: str, queue: str) -> None:
        """Enqueue a copy of a workflow for this release, from its beginning."""
        self._call(
            lambda opened: opened.client.fork_workflow(
                workflow_id, 0, application_version=self._settings.release_id, queue_name=queue
            )
        )

    def forget_finished(self, before: str, limit: int) -> int:
        """Delete up to `limit` workflows that ended before an ISO moment; returns how many."""
        found = self._call(
            lambda opened: opened.client.list_workflows(
                status=["SUCCESS", "ERROR", "CANCELLED"],
                completed_before=before,
                limit=limit,
                load_input=False,
                load_output=False,
            )
        )
        if found:
            self._call(lambda opened: opened.client.delete_workflows([row.workflow_id for row in found]))
        return len(found)

    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.client.destroy()
                self._opened.engine.dispose()
                self._opened = None

    def _enqueue(self, kind: str, identity: str, *arguments: Any, place: int | None = None) -> None:
        options: EnqueueOptions = {
            "workflow_name": kind, "queue_name": kind, "workflow_id": identity, "app_version": self._settings.release_id,
        }  # fmt: skip
        if place is not None:
            options["priority"] = place
        if context := context_to_store():
            options["otel_context"] = context
        self._call(lambda opened: opened.client.enqueue(options, *arguments))

    def _call(self, action: Callable[[_Opened], Any]) -> Any:
        try:
            return action(self._open())
        except Exception as error:
            where = make_url(self._settings.jobs_url()).render_as_string(hide_password=True)
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise CatalogUnavailable(
                f"The jobs database {where} does not answer: {reason}. Next: `python -m app.admin doctor`."
            ) from error

    def _open(self) -> _Opened:
        with self._lock:
            if self._opened is None:
                quiet_dbos()
                from dbos import DBOSClient

                engine = jobs_engine(self._settings, _CLIENT_CONNECTIONS)
                # Only here and not in the worker, where DBOS must be able to listen on a silent connection.
                if engine.dialect.name == "postgresql":
                    set_silence_timeout(engine)
                client = DBOSClient(
                    system_database_engine=engine, application_name=APPLICATION, lazy=True, retry_connection_errors=False
                )
                self._opened = _Opened(client, engine, FairPlaces(engine, INGEST, self._settings.release_id))
            return self._opened


_UNFINISHED: Final = frozenset({"ENQUEUED", "PENDING", "DELAYED"})


def workflow_id(job: Job) -> str:
    """The DBOS id of a job."""
    return f"{INGEST}-{job.document_id}-{job.revision}"


def jobs_engine(settings: Settings, connections: int) -> Engine:
    """An engine for the DBOS database. SQLite uses WAL, because with the default journal readers and writers block each other.

    `synchronous=NORMAL`: a power cut may lose the last jobs but never a document; housekeeping enqueues the lost jobs again.
    """
    url = settings.jobs_url()
    if make_url(url).get_backend_name() != "sqlite":
        engine = create_engine(
            url,
            pool_size=connections,
            max_overflow=0,
            pool_pre_ping=True,
            connect_args={"connect_timeout": _CONNECT_SECONDS, **POSTGRES_KEEPALIVE},
        )
        leave_when_read_only(engine)
        return engine
    engine = create_engine(url, pool_size=connections, max_overflow=0, connect_args={"timeout": _BUSY_MILLISECONDS / 1000})
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = "IMMEDIATE"  # the level that DBOS sets on its own engines
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={_BUSY_MILLISECONDS}", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    ensure_wal(cursor)
    cursor.close()


def migrate_jobs(settings: Settings) -> None:
    """Create or upgrade the DBOS tables."""
    quiet_dbos()
    from dbos import DBOS

    engine = jobs_engine(settings, 1)
    try:
        if engine.dialect.name == "sqlite":
            engine.connect().close()  # switches the file to WAL, which is permanent
        DBOS.migrate(settings.jobs_url())
    finally:
        engine.dispose()


def quiet_dbos() -> None:
    """Send DBOS's warnings through the process's own logging instead of a console format of its own."""
    logger = logging.getLogger("dbos")
    logger.setLevel(logging.WARNING)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # DBOS installs its console handler only where there is none
    logger.propagate = True
