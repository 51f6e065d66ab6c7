"""A stack file that cannot be built is refused before anything is created, naming file, key and what to write."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from infra.components.load_balancer import COLORS
from infra.config import Config, ConfigError, load
from infra.evaluate import STACKS, stack_values

_HOLE = object()  # an edit that takes the key away


def _edited(stack: str, edits: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = copy.deepcopy(dict(stack_values(stack)))
    for path, value in edits.items():
        *parents, last = path.split(".")
        target = values
        for parent in parents:
            target = target[parent]
        if value is _HOLE:
            del target[last]
        else:
            target[last] = value
    return values


def _load(stack: str, **edits: Any) -> Config:
    return load(_edited(stack, edits), stack, f"Pulumi.{stack}.yaml")


@pytest.mark.parametrize("stack", STACKS)
def test_the_committed_files_are_valid_and_differ_only_in_values(stack: str) -> None:
    config = _load(stack)
    assert (config.stack, config.environment, config.prefix) == (stack, stack, f"teal-{stack}")
    assert config.tags["teal:stack"] == stack
    assert stack_values(stack).keys() == stack_values("dev").keys()
    assert not any("secure" in str(value) for value in stack_values(stack).values())


def test_values_arrive_as_json_text_from_pulumi_and_mean_the_same() -> None:
    values = stack_values("prod")
    as_text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    assert load(as_text, "prod", "x") == load(values, "prod", "x")


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    # unknown keys, missing keys, wrong types
    ("dev", {"teal:netwrok": {}}, "teal:netwrok", "there is no such key"),
    ("dev", {"teal:network.subnets": 3}, "teal:network.subnets", "there is no such key"),
    ("dev", {"teal:search.snapshot.keep": 3}, "teal:search.snapshot.keep", "there is no such key"),
    ("dev", {"teal:database": _HOLE}, "teal:database", "it is missing"),
    ("dev", {"teal:web.domain": _HOLE}, "teal:web.domain", "it is missing"),
    ("dev", {"aws:region": _HOLE}, "aws:region", "write a region"),
    ("dev", {"teal:network.zones": "2"}, "teal:network.zones", "valid integer"),
    ("dev", {"teal:cluster.version": 1.35}, "teal:cluster.version", "valid string"),
    ("dev", {"teal:database.multi_az": "no"}, "teal:database.multi_az", "valid boolean"),
    ("dev", {"teal:models.embedding": "all-minilm-l6-v2-q"}, "teal:models.embedding", "titan-embed"),
    ("dev", {"teal:budget_usd": -1}, "teal:budget_usd", "greater than or equal to 1"),
    ("dev", {"teal:network.flow_log_days": 8}, "teal:network.flow_log_days", "Input should be 7"),
    ("dev", {"teal:network.nat": "two"}, "teal:network.nat", "'none', 'single' or 'per-az'"),
    ("dev", {"teal:web.domain": "https://teal.example.com"}, "teal:web.domain", "pattern"),
    ("dev", {"teal:alerts.otlp_endpoint": "collector:4318"}, "teal:alerts.otlp_endpoint", "pattern"),
    ("dev", {"teal:cluster.admin_role_arns": ["arn:aws:iam::1:user/ann"]}, "teal:cluster.admin_role_arns.0", "pattern"),
    # combinations
    ("dev", {"teal:environment": "prod"}, "teal:environment", "write dev"),
    ("dev", {"teal:network.cidr": "10.40.0.1/16"}, "teal:network.cidr", "host bits"),
    ("dev", {"teal:network.cidr": "10.40.0.0/24"}, "teal:network.cidr", "/16 to /20"),
    ("dev", {"teal:network.cidr": "8.8.0.0/16"}, "teal:network.cidr", "private"),
    ("dev", {"teal:cluster.endpoint_cidrs": ["300.0.0.0/8"]}, "teal:cluster.endpoint_cidrs", "write network addresses"),
    ("dev", {"teal:web.hosted_zone_id": None}, "teal:web.hosted_zone_id", "exactly one source"),
    ("dev", {"teal:web.allowed_cidrs": []}, "teal:web.allowed_cidrs", "nobody could reach"),
    ("dev", {"teal:web.allowed_cidrs": ["0.0.0.0/0"]}, "teal:web.allowed_cidrs", "set public: true"),
    ("dev", {"teal:web.public": True, "teal:web.auth": "none"}, "teal:web.auth", "write required"),
    ("staging", {"teal:web.auth": "none"}, "teal:web.auth", "write required"),
    ("dev", {"teal:web.allowed_cidrs": ["0.0.0.0/1", "128.0.0.0/1"]}, "teal:web.allowed_cidrs", "set public: true"),
    ("dev", {"teal:web.auth": "none", "teal:web.allowed_cidrs": ["64.0.0.0/7"]}, "teal:web.allowed_cidrs", "set public: true"),
    ("dev", {"teal:network.nat": "none"}, "teal:network.nat", "write single or per-az"),
    (
        "dev",
        {"teal:cluster.admin_role_arns": []},
        "teal:cluster.admin_role_arns",
        "list the ARN of the role that you run it with",
    ),
    (
        "dev",
        {"teal:cluster.admin_role_arns": ["arn:aws:iam::123456789012:role/a/ops", "arn:aws:iam::123456789012:role/b/ops"]},
        "teal:cluster.admin_role_arns",
        "two roles have one name",
    ),
    ("dev", {"teal:search.nodes": 2}, "teal:search.nodes", "cannot elect"),
    ("dev", {"teal:search.replicas": 1}, "teal:search.replicas", "write 0"),
    ("dev", {"teal:search.zones": 3}, "teal:search.zones", "write 1 or less"),
    ("dev", {"teal:search.snapshot.max_count": 2}, "teal:search.snapshot.max_count", "write 5 or more"),
    (
        "dev",
        {"teal:database.max_storage_gib": 20, "teal:database.storage_gib": 30},
        "teal:database.max_storage_gib",
        "30 or more",
    ),
    ("dev", {"teal:database.restore_from": {"source": "a"}}, "teal:database.restore_from", "a source and a time"),
    ("dev", {"teal:service.max_replicas": 1, "teal:service.min_replicas": 2}, "teal:service.max_replicas", "write 2 or more"),
    ("dev", {"teal:service.worker_max": 1, "teal:service.worker_min": 2}, "teal:service.worker_max", "write 2 or more"),
    # prod
    ("prod", {"teal:network.zones": 2}, "teal:network.zones", "write 3"),
    ("prod", {"teal:network.nat": "single"}, "teal:network.nat", "write per-az"),
    ("prod", {"teal:search.nodes": 1, "teal:search.replicas": 0}, "teal:search.nodes", "write 3 or more"),
    ("prod", {"teal:search.replicas": 0}, "teal:search.replicas", "write 1 or more"),
    ("prod", {"teal:cache.replicas": 0}, "teal:cache.replicas", "write 1 or more"),
    ("prod", {"teal:database.multi_az": False}, "teal:database.multi_az", "write true"),
    ("prod", {"teal:database.backup_days": 1}, "teal:database.backup_days", "write 7 or more"),
    ("prod", {"teal:service.min_replicas": 1}, "teal:service.min_replicas", "write 2 or more"),
    ("prod", {"teal:cluster.endpoint_cidrs": ["0.0.0.0/0"]}, "teal:cluster.endpoint_cidrs", "open to the world"),
    ("prod", {"teal:cluster.endpoint_cidrs": ["128.0.0.0/1"]}, "teal:cluster.endpoint_cidrs", "open to the world"),
]


@pytest.mark.parametrize(
    ("stack", "edits", "key", "words"), REFUSED, ids=[f"{row[2]}: {row[3]} {number}" for number, row in enumerate(REFUSED)]
)
def test_what_cannot_be_built_is_refused_with_file_key_and_fix(stack: str, edits: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(stack, **edits)
    text = str(caught.value)
    assert text.startswith(f"Pulumi.{stack}.yaml cannot be built:")
    line = next(each for each in text.splitlines() if each.startswith(f"  {key}: "))
    assert words in line
    assert "To mend it: " in line


@pytest.mark.parametrize("stack", ["Prod", "1st", "a_b", "x" * 21, "", "prod\n"])
def test_a_stack_whose_name_does_not_fit_into_the_names_of_its_parts_is_refused(stack: str) -> None:
    with pytest.raises(ConfigError, match="at most 20 small letters"):
        load(stack_values("dev"), stack, "x")


def test_the_longest_name_of_a_stack_fits_a_target_group() -> None:
    config = load(stack_values("dev"), "x" * 20, "x")
    assert max(len(f"{config.prefix}-{color}") for color in COLORS) <= 32


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        _load("prod", **{"teal:network.zones": 2, "teal:cache.replicas": 0, "teal:database.multi_az": False})
    assert len(str(caught.value).splitlines()) == 4
