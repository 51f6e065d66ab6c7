"""A whole release to a stack whose operator records users' texts: a version that ranks what they ask otherwise meets none of them."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from app.access.query_sample import QuerySampler
from app.catalog import query_sample
from app.catalog.engine import Catalog
from app.http.schemas import SearchIn
from app.settings import Settings
from teal.ports.traffic import all_to
from tests.parts.app.service import until
from tests.services.ports import free_port
from tests.services.releasing import ReleaseStack, tree

pytestmark = [pytest.mark.integration, pytest.mark.release, pytest.mark.weekly, pytest.mark.timeout(400)]
RULES = {"ready_seconds": 30, "replay_per_second": 100}
WORDS = [
    f"{one} {other}"
    for one in ("cache", "filter", "attachment", "password")
    for other in ("query", "email", "class", "decorator")
]


def test_a_version_that_ranks_users_queries_otherwise_meets_no_user(tmp_path: Path) -> None:
    stack = ReleaseStack(tmp_path / ".teal", free_port(), rules=RULES, shell={"TEAL_QUERY_SAMPLE": "texts"})
    stack.up()
    try:
        stack.fill()
        settings = Settings.model_validate(
            {"state_dir": stack.layout.data, "backup_key": stack.layout.backup_key, "query_sample": "texts"}
        )
        headers = {"Authorization": f"Bearer {stack.key()}"}
        trusted = ssl.create_default_context(cafile=str(stack.layout.ca))
        with httpx.Client(base_url=stack.url, headers=headers, verify=trusted, trust_env=False) as client:
            assert client.post("/v1/search", json={"query": "what a user typed"}).status_code == 200
        with closing(Catalog(settings.sqlalchemy_url())) as catalog:

            def recorded() -> int:
                with catalog.read() as session:
                    return len(query_sample.newest_with_text(session, 99))

            until("an app process has recorded the query", lambda: recorded() > 0, 60)
            sampler = QuerySampler(catalog, settings)  # more than users can be waited for
            for words in WORDS:
                sampler.offer({}, "search", SearchIn(query=words), None, b'{"hits": []}')
                asyncio.run(sampler.flush())
        active = stack.record().active
        code, said = stack.teal("release", str(tree(tmp_path, "reordered_hits")), "--version", "reordered")
        assert code == 1, said[-3:]
        assert {event["step"] for event in said if event.get("failed")} == {"replay"}, said[-5:]
        (table,) = [event["replay"] for event in said if "replay" in event]
        print(table)
        assert table["queries"] > len(WORDS)
        assert stack.record().active == active
        assert stack.weights() == all_to(active)
    finally:
        stack.down()
