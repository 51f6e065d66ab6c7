"""What does not fit an account is said before anything is made. AWS's answers are botocore's: the stubber refuses one that has another form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from teal.aws import fit, plan
from teal.aws.session import Aws
from teal.events import CheckRow

REGION = "eu-central-1"
NEEDS: dict[str, Any] = {
    "vcpus": 8, "vcpus_in_release": 12, "elastic_ips": 1, "kubernetes": "1.35", "addons": {"metrics-server": "v0.8.1-eksbuild.6"},
    "engines": {"postgres": "17", "valkey": "8.0"}, "instance_class": "db.t4g.small", "models": ["amazon.titan-embed-text-v2:0"],
    "embed_tokens_per_minute": 30_000, "questions_per_second": (23, 69), "expected_per_second": None,
}  # fmt: skip
MODEL = {
    "modelId": "amazon.titan-embed-text-v2:0", "regionAvailability": "AVAILABLE", "authorizationStatus": "AUTHORIZED",
    "entitlementAvailability": "AVAILABLE", "agreementAvailability": {"status": "AVAILABLE"},
}  # fmt: skip


class Answers:
    """Clients whose next answers are given, each checked against the service's model."""

    def __init__(self, **answers: list[tuple[str, dict[str, Any] | str]]) -> None:
        self.clients: dict[str, Any] = {}
        for name, given in answers.items():
            service = name.replace("_", "-")
            client = boto3.client(service, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b")  # type: ignore[call-overload]
            stubber = Stubber(client)
            for operation, answer in given:
                if isinstance(answer, str):
                    stubber.add_client_error(operation, answer)
                else:
                    stubber.add_response(operation, answer)
            stubber.activate()
            self.clients[service] = client

    def look(self, check: str, needs: dict[str, Any] = NEEDS) -> list[CheckRow]:
        aws = Aws(self.clients.__getitem__, REGION)
        return list(fit.check_fit(aws, "dev", needs, {check: fit.CHECKS[check]}))


def machine(kind: str, cores: int, **tags: str) -> dict[str, Any]:
    return {
        "InstanceType": kind, "CpuOptions": {"CoreCount": cores, "ThreadsPerCore": 2},
        "Tags": [{"Key": key.replace("_", ":"), "Value": value} for key, value in tags.items()],
    }  # fmt: skip


@pytest.mark.parametrize(("quota", "fits"), [(5.0, False), (15.0, False), (16.0, True)])
def test_a_release_doubles_the_machines_and_the_quota_must_hold_that(quota: float, fits: bool) -> None:
    own = {"Key": "aws:eks:cluster-name", "Value": "teal-dev"}
    running = [machine("m7i.large", 2), {**machine("m7i.large", 8), "Tags": [own]}, machine("p4d.24xlarge", 48)]
    answers = Answers(
        service_quotas=[("get_service_quota", {"Quota": {"Value": quota}})],
        ec2=[("describe_instances", {"Reservations": [{"Instances": running}]})],
    )
    (row,) = answers.look("machines")  # 4 of another's count; our own and those of another quota do not
    assert row.ok is fits
    assert row.detail == f"12 vCPU while a release runs (8 before and after), {quota - 4:g} of {quota:g} are free"
    assert row.mend.endswith("--quota-code L-1216C47A --desired-value 16")


def test_addresses_of_this_stack_are_not_counted_against_it() -> None:
    held = [{"Tags": [{"Key": "teal:stack", "Value": stack}]} for stack in ("dev", "prod", "prod")]
    answers = Answers(
        service_quotas=[("get_service_quota", {"Quota": {"Value": 2.0}})], ec2=[("describe_addresses", {"Addresses": held})]
    )
    (row,) = answers.look("addresses")
    assert not row.ok
    assert "0 of 2 are free" in row.detail


@pytest.mark.parametrize(("status", "fits"), [("STANDARD_SUPPORT", True), ("EXTENDED_SUPPORT", False)])
def test_a_version_of_kubernetes_out_of_support_is_said_with_its_day(status: str, fits: bool) -> None:
    found = {"clusterVersion": "1.35", "versionStatus": status, "endOfStandardSupportDate": datetime(2027, 3, 27, tzinfo=UTC)}
    (row,) = Answers(eks=[("describe_cluster_versions", {"clusterVersions": [found]})]).look("kubernetes")
    assert row.ok is fits
    assert row.detail.endswith("until 2027-03-27")


def test_an_add_on_that_is_not_offered_names_the_newest_that_is() -> None:
    offered = {"addons": [{"addonVersions": [{"addonVersion": "v0.8.1-eksbuild.10"}, {"addonVersion": "v0.8.1-eksbuild.9"}]}]}
    (row,) = Answers(eks=[("describe_addon_versions", offered)]).look("add-ons")
    assert (row.ok, row.detail) == (
        False,
        "metrics-server v0.8.1-eksbuild.6 is not offered for Kubernetes 1.35; the newest is v0.8.1-eksbuild.10",
    )


def test_engines_and_the_database_s_class_are_asked_for() -> None:
    answers = Answers(
        rds=[
            ("describe_db_engine_versions", {"DBEngineVersions": [{"EngineVersion": "17.5"}, {"EngineVersion": "17.6"}]}),
            ("describe_orderable_db_instance_options", {"OrderableDBInstanceOptions": []}),
        ],
        elasticache=[("describe_cache_engine_versions", {"CacheEngineVersions": [{"EngineVersion": "8.0"}]})],
    )
    database, cache = answers.look("engines")
    assert (database.ok, database.detail) == (False, "PostgreSQL 17 on db.t4g.small is not offered here")
    assert cache.ok


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (MODEL, ""),
        ({**MODEL, "authorizationStatus": "NOT_AUTHORIZED"}, "authorizationStatus"),
        ({**MODEL, "agreementAvailability": {"status": "NOT_AVAILABLE"}}, "agreementAvailability"),
        ("ResourceNotFoundException", "is not in eu-central-1"),
    ],
)
def test_a_model_that_may_not_be_called_is_named(answer: dict[str, Any] | str, says: str) -> None:
    (row,) = Answers(bedrock=[("get_foundation_model_availability", answer)]).look("models")
    assert row.ok is not bool(says)
    assert says in row.detail


@pytest.mark.parametrize(("value", "fits"), [(300_000.0, True), (6_000.0, False)])
def test_the_model_s_tokens_a_minute_are_found_by_its_name(value: float, fits: bool) -> None:
    def quota(name: str, value: float) -> dict[str, Any]:
        return {"QuotaName": name, "QuotaCode": "L-0", "Value": value}

    quotas = [
        quota("On-demand model inference requests per minute for Amazon Titan Text Embeddings V2", 1.0),
        quota("On-demand model inference tokens per minute for Amazon Titan Text Lite", 1.0),
        quota("On-demand model inference tokens per minute for Amazon Titan Text Embeddings V2", value),
    ]
    (row,) = Answers(service_quotas=[("list_service_quotas", {"Quotas": quotas})]).look("tokens")
    assert row.ok is fits
    assert "Embeddings V2" in row.detail


def test_what_these_credentials_may_not_ask_is_unknown_and_stops_nothing() -> None:
    (row,) = Answers(service_quotas=[("get_service_quota", "AccessDeniedException")]).look("machines")
    assert (row.ok, row.detail) == (True, "unknown, AWS did not say: AccessDeniedException")


def test_examples_left_in_the_file_are_said_for_a_real_account_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "CHECKS", {"machines": fit.CHECKS["machines"]})
    bill = {"examples": ["teal:web.domain: dev.teal.example.com is the example"], "needs": NEEDS}
    clients = Answers(service_quotas=[("get_service_quota", "AccessDeniedException")] * 2).clients
    aws = Aws(clients.__getitem__, REGION)
    assert [row.part for row in plan.in_account((aws, "111122223333"), "dev", bill)] == ["examples", "machines"]
    assert [row.part for row in plan.in_account((aws, plan.EXAMPLE_ACCOUNT), "dev", bill)] == ["machines"]


@pytest.mark.parametrize(("expected", "refused"), [(None, []), (60.0, []), (70.0, ["load"])])
def test_a_plan_that_cannot_carry_the_expected_load_is_refused(expected: float | None, refused: list[str]) -> None:
    rows = plan.load({**NEEDS, "expected_per_second": expected})
    assert [row.part for row in rows if not row.ok] == refused


def test_the_difference_is_said_in_cost_and_in_capacity() -> None:
    now = {"usd": 490.0, "needs": NEEDS}
    planned = {"usd": 980.0, "needs": {**NEEDS, "questions_per_second": (46, 138), "vcpus": 16}}
    said = plan.difference(now, planned)
    assert said.startswith("now: 490 USD a month, 23 to 69 questions a second, 8 vCPU; planned: 980 USD a month, 46 to 138")
    assert said.endswith("+490 USD a month")
    assert plan.difference(None, planned).startswith("nothing is there yet")
    assert plan.difference(now, now).startswith("the same as now")
