"""Both search engines for the contract suite, each with an index of its own for every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from elasticsearch import Elasticsearch

from app.models.port import Stamp
from app.search.port import SearchReader, SearchWriter
from app.settings import Settings

STAMP = Stamp("test-model", "sha256-of-the-test-model", 8)


class Engine:
    """One adapter and an empty index. `reader()` and `writer()` open it as the processes of the service do."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = settings.search

    def reader(self, stamp: Stamp = STAMP) -> SearchReader:
        if self.settings.search == "embedded":
            from app.search.sqlite.engine import EmbeddedReader
            from app.search.sqlite.schema import embedded_path

            return EmbeddedReader(embedded_path(self.settings), self.settings.index, stamp)
        from app.search.elasticsearch.reader import ElasticsearchReader

        return ElasticsearchReader(self.settings, stamp)

    def writer(self) -> SearchWriter:
        from app.search.engines import open_writer

        return open_writer(self.settings)


@pytest.fixture(params=["embedded", pytest.param("elasticsearch", marks=pytest.mark.integration)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "embedded":
        yield Engine(Settings(search="embedded", state_dir=tmp_path))
        return
    url: str = request.getfixturevalue("elasticsearch_url")
    index = f"t{uuid4().hex[:12]}"
    yield Engine(
        Settings(search="elasticsearch", elasticsearch_url=url, index=index, state_dir=tmp_path, search_timeout_seconds=10.0)
    )
    with Elasticsearch(url) as client:
        client.indices.delete(index=f"{index}-*", ignore_unavailable=True)
        client.options(ignore_status=404).indices.delete_index_template(name=f"{index}-passages")


@pytest.fixture
def writer(engine: Engine) -> Iterator[SearchWriter]:
    opened = engine.writer()
    opened.ensure(STAMP)
    yield opened
    opened.close()


@pytest.fixture
def dead_engine(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], Engine]:
    """An engine that is not there: nobody listens on the port, or the file is no database."""

    def make(name: str) -> Engine:
        if name == "embedded":
            (tmp_path / "search.db").write_bytes(b"this is no database" * 1_000)
            return Engine(Settings(search="embedded", state_dir=tmp_path))
        from tests.services.ports import free_port

        return Engine(Settings(search="elasticsearch", elasticsearch_url=f"http://127.0.0.1:{free_port()}"))

    return make
