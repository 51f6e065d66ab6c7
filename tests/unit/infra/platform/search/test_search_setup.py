"""What Elasticsearch is told once it runs, and the script that tells it."""

from __future__ import annotations

import inspect
import json

from elasticsearch import Elasticsearch

from infra.config.sections import SearchConfig
from infra.platform.search import setup


def test_another_content_is_another_job() -> None:
    first = setup.files(setup.requests(SearchConfig(), "b"))
    assert setup.job_name(first, "8.19.21") == setup.job_name(setup.files(setup.requests(SearchConfig(), "b")), "8.19.21")
    changed = setup.files(setup.requests(SearchConfig(refresh_interval="5s"), "b"))
    assert setup.job_name(first, "8.19.21") != setup.job_name(changed, "8.19.21")


def test_every_body_has_only_names_that_elasticsearchs_client_knows() -> None:
    client = Elasticsearch("http://127.0.0.1:9")
    sent = {one.path.split("?")[0]: one for one in setup.requests(SearchConfig(), "b")}
    for path, method in (
        ("/_slm/policy/teal", client.slm.put_lifecycle),
        ("/_ilm/policy/teal-passages", client.ilm.put_lifecycle),
        ("/_index_template/teal-defaults", client.indices.put_index_template),
    ):
        body = sent[path].body
        assert body
        assert set(body) <= set(inspect.signature(method).parameters), path
    repository = sent["/_snapshot/teal"].body
    assert repository
    assert repository["type"] == "s3"
    assert set(repository) == {"type", "settings"}


def test_snapshots_are_pruned_as_configured_and_never_the_last_ones() -> None:
    said = SearchConfig.model_validate({"snapshot": {"schedule": "0 0 2 * * ?", "keep_days": 7, "min_count": 5, "max_count": 50}})
    body = setup.slm_policy_body(said)
    assert body["retention"] == {"expire_after": "7d", "min_count": 5, "max_count": 50}
    assert body["config"]["partial"] is False


def test_passages_are_never_deleted_by_age() -> None:
    assert set(setup.lifecycle_policy()["policy"]["phases"]) == {"hot"}
    assert "rollover" not in json.dumps(setup.lifecycle_policy())
