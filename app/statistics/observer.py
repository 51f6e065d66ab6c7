"""A thread of the worker that reads the statistics twice a minute. A part that does not answer is logged once and retried."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from redis import Redis
from sqlalchemy import Engine

from app.settings import Settings
from app.statistics import postgres
from app.statistics.exposed import StatisticsExporter

PERIOD_SECONDS: Final = 30.0  # as often as Prometheus scrapes; all calls together cost the parts some 20 ms
_REDIS_SECONDS: Final = 2.0
log = logging.getLogger(__name__)


class Observer(threading.Thread):
    """The observing thread, a daemon; it ends when `stop` is set."""

    def __init__(self, settings: Settings, engine: Engine, stop: threading.Event) -> None:
        super().__init__(name="observer", daemon=True)
        self._settings, self._engine, self._stop_asked = settings, engine, stop
        self._exposed = StatisticsExporter()
        self._silent: set[str] = set()

    def run(self) -> None:
        while True:
            self.look()
            if self._stop_asked.wait(PERIOD_SECONDS):
                return

    def look(self) -> None:
        """Read the statistics of every configured part once."""
        settings = self._settings
        self._read("files", lambda: self._exposed.files(settings))
        if settings.search == "elasticsearch":
            self._read("elasticsearch", self._elasticsearch)
        if settings.database_url is not None:
            self._read("postgres", self._postgres)
        if settings.redis_url is not None:
            url = settings.redis_url.get_secret_value()
            self._read("redis", lambda: self._redis(url))

    def _read(self, part: str, read: Callable[[], None]) -> None:
        try:
            read()
        except Exception as error:  # noqa: BLE001 - statistics are never worth a worker
            if part not in self._silent:
                log.warning("no statistics of %s: %s: %s", part, type(error).__name__, error)
            self._silent.add(part)
        else:
            self._silent.discard(part)

    def _elasticsearch(self) -> None:
        from app.statistics import elasticsearch  # imported here, so that its client is not loaded where another engine is used

        self._exposed.search(elasticsearch.collect_elasticsearch(self._settings))

    def _postgres(self) -> None:
        with self._engine.connect() as connection:
            self._exposed.postgres(postgres.collect_postgres(connection))

    def _redis(self, url: str) -> None:
        with Redis.from_url(url, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS) as client:
            self._exposed.redis(client.info())
