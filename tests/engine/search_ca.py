"""Stands in for the one thing that the platform's program reads of what ECK's operator makes: the Secret with search's authority."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from infra.platform.search import resources
from tests.cluster.apiserver import ApiServer, Refused

CERTIFICATE: Final = "of the search engine that does not run"
_LOOK_SECONDS: Final = 0.3


@contextmanager
def given(server: ApiServer) -> Iterator[None]:
    """To every Elasticsearch there is, until the end of the block. The Secret belongs to it, so that it goes with it."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            for one in _found(server):
                _give(server, one)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _found(server: ApiServer) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = server.ask("GET", "/apis/elasticsearch.k8s.elastic.co/v1/elasticsearches")["items"]
    except Refused as refused:
        if refused.code != 404:  # its definition comes with the operator's chart
            raise
        return []
    return [one for one in found if "deletionTimestamp" not in one["metadata"]]


def _give(server: ApiServer, engine: dict[str, Any]) -> None:
    metadata = engine["metadata"]
    owner = {"apiVersion": engine["apiVersion"], "kind": engine["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    secret = {
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": resources.CA_SECRET, "namespace": metadata["namespace"], "ownerReferences": [owner]},
        "data": {"ca.crt": base64.b64encode(CERTIFICATE.encode()).decode()},
    }  # fmt: skip
    try:
        server.create(secret)
    except Refused as refused:
        if refused.code not in (403, 404, 409):  # its namespace ends, it is gone, or there is one
            raise
