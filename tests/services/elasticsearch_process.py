"""A real Elasticsearch for tests: the benchmarks' node, on ports that the tests of this machine keep apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.bench import elasticsearch_node
from loadtests.bench.elasticsearch_node import CONFIGURATION, archive, node_variables
from tests.services.ports import free_port

__all__ = ["CONFIGURATION", "archive", "node_variables", "start"]


@contextmanager
def start(
    archive: Path,
    work: Path,
    *,
    configuration: str = CONFIGURATION,
    variables: Callable[[Path], dict[str, str]] = node_variables,
) -> Iterator[str]:
    """The address of a node that runs until the block ends."""
    with elasticsearch_node.start(
        archive, work, port=free_port(), transport=free_port(), configuration=configuration, variables=variables
    ) as url:
        yield url
