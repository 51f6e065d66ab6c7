"""A stack file that cannot be built is refused before anything is created, naming file, key and what to write."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from contract.color import COLORS
from contract.platform import Environment
from infra.config.read import Config, ConfigError, load_config
from infra.evaluation import evaluate as evaluation
from infra.evaluation.evaluate import Evaluation, stack_values, stacks
from tests.unit.infra.conftest import STACKS, variant
from tests.unit.infra.name_limits import NAME_LIMITS

_HOLE = object()  # an edit that takes the key away


def edited(stack: str, edits: dict[str, Any]) -> dict[str, Any]:
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
    return load_config(edited(stack, edits), stack, f"Pulumi.{stack}.yaml")


@pytest.mark.parametrize("stack", stacks())
def test_the_committed_files_are_valid_and_differ_only_in_values(stack: str) -> None:
    config = _load(stack)
    assert (config.stack, config.prefix) == (stack, f"teal-{stack}")
    if stack in get_args(Environment):  # a stack of another name, such as perf, says which of the three it is like
        assert config.environment == stack
    assert config.tags["teal:stack"] == stack
    assert stack_values(stack).keys() == stack_values("dev").keys()
    assert not any("secure" in str(value) for value in stack_values(stack).values())


def test_values_arrive_as_json_text_from_pulumi_and_mean_the_same() -> None:
    values = stack_values("prod")
    as_text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    assert load_config(as_text, "prod", "x") == load_config(values, "prod", "x")


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
    ("dev", {"teal:network.nat": "two"}, "teal:network.nat", "'single' or 'per-az'"),
    ("dev", {"teal:web.domain": "https://teal.example.com"}, "teal:web.domain", "pattern"),
    ("dev", {"teal:alerts.otlp_endpoint": "collector:4318"}, "teal:alerts.otlp_endpoint", "pattern"),
    (
        "dev",
        {"teal:cluster.admin_role_arns": ["arn:aws:iam::1:user/ann"]},
        "teal:cluster.admin_role_arns.0",
        "it is not the ARN of a role",
    ),
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
    ("dev", {"teal:network.cidr": "172.20.0.0/16"}, "teal:network.cidr", "which the cluster's Services have"),
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
        load_config(stack_values("dev"), stack, "x")


def test_the_longest_name_of_a_stack_fits_a_target_group() -> None:
    config = load_config(stack_values("dev"), "x" * 20, "x")
    assert max(len(f"{config.prefix}-{color}") for color in COLORS) <= 32


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        _load("prod", **{"teal:network.zones": 2, "teal:cache.replicas": 0, "teal:database.multi_az": False})
    assert len(str(caught.value).splitlines()) == 4


def test_a_new_stack_s_file_is_tested_by_being_there(tmp_path: Path) -> None:
    for name in ("dev", "perf"):
        (tmp_path / f"Pulumi.{name}.yaml").write_text("config: {}\n")
    (tmp_path / "Pulumi.yaml").write_text("name: teal\n")
    assert stacks(tmp_path) == ("dev", "perf")
    assert tuple(stacks()) == STACKS


@pytest.mark.parametrize(
    ("edits", "key", "said"),
    [
        ({"teal:database.maintenance_schedule": "every sunday"}, "teal:database.maintenance_schedule", "cron of five fields"),
        ({"teal:search.snapshot.schedule": "0 2 * * *"}, "teal:search.snapshot.schedule", "begins with seconds"),
        ({"teal:service.cpu": "0"}, "teal:service.cpu", "no amount of CPU"),
        ({"aws:region": "eu-centrl-1"}, "aws:region", "write eu-central-1"),
        ({"teal:cluster.admin_role_arns": ["arn:aws:sts::123456789012:assumed-role/deployer/me"]}, "teal:cluster.admin_role_arns", "write arn:aws:iam::ACCOUNT:role/NAME"),
        ({"teal:cluster.admin_role_arns": ["arn:aws:iam::123456789012:user/me"]}, "teal:cluster.admin_role_arns", "a user cannot be listed"),
        ({"teal:search.version": "9.2.1"}, "teal:search.version", "speaks to Elasticsearch 8.19"),
        ({"teal:database.engine_version": "17.6"}, "teal:database.engine_version", "AWS moves the minor version"),
        ({"teal:database.instance_class": "db.z1d.large"}, "teal:database.instance_class", "such as db.m7g.large"),
        ({"teal:service.min_replica": 2}, "teal:service.min_replica", "write min_replicas"),
        ({"teal:search.snapshot.keep_day": 2}, "teal:search.snapshot.keep_day", "write keep_days"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_in_words_and_a_misspelt_key_gets_the_right_one(
    edits: dict[str, Any], key: str, said: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(edited("prod", edits), "prod", "Pulumi.prod.yaml")
    (line,) = [line for line in str(raised.value).splitlines() if key in line]
    assert said in line
    assert "pattern" not in line


def test_every_name_is_short_enough_for_the_longest_stack_and_region() -> None:
    """Names that only the longest stack's name makes too long are found here, and not half an hour into an `up`."""
    check_names(variant())


@pytest.mark.exhaustive
@pytest.mark.parametrize("region", ["eu-central-1", "us-east-1"])
def test_every_name_is_short_enough_in_other_regions_too(region: str) -> None:
    values = {**edited("dev", {}), "aws:region": region}
    check_names(evaluation.evaluate_program("teal", evaluation.ROOT / "infra" / "__main__.py", "a" * 20, values))


def check_names(made: Evaluation) -> None:
    for one in made.resources:
        if one.type in NAME_LIMITS:
            name, longest, pattern = NAME_LIMITS[one.type]
            assert len(one.inputs[name]) <= longest, f"{one.type} {one.inputs[name]}"
            assert re.fullmatch(pattern, one.inputs[name])


@pytest.mark.parametrize("stack", ["a" * 21, "dev-", "a--b", "1a", "A"])
def test_a_stack_s_name_that_aws_would_refuse_is_refused_first(stack: str) -> None:
    with pytest.raises(ConfigError, match="cannot be called"):
        load_config(edited("dev", {}), stack, "x")


def test_hooks_and_notifications_are_refused_with_the_rest_before_anything_is_created() -> None:
    steering = {
        "hooks": [{"name": "warm-cdn", "before": "shift-5", "run": ["scripts/warm"]}],
        "notifications": [{"send": "sns", "to": "arn"}],
    }
    (hook,) = _load("dev", **{"teal:releases": steering}).releases.hooks
    assert (hook.when, hook.step, hook.on_timeout) == ("before", "shift-5", "undo")
    with pytest.raises(ConfigError, match=r"teal:releases\.hooks\.0\.before_: there is no such key"):
        _load("dev", **{"teal:releases": {"hooks": [{"name": "x", "before_": "deploy", "run": ["true"]}]}})
    written_out = {"name": "x", "before": "deploy", "run": ["true"], "secrets": {"T": "geheim-1234"}}
    with pytest.raises(ConfigError, match="write env:NAME or file:/path") as said:
        _load("dev", **{"teal:releases": {"hooks": [written_out]}})
    assert "geheim" not in str(said.value)
