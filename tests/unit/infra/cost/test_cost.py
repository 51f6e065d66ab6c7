"""The price of a stack before it exists: complete, honest about what it does not know, refused above the budget."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from infra.config.read import Config, load_config
from infra.cost import capacity, extract_prices, prices, report
from infra.cost.capacity import Machines, PodNeed, machines
from infra.cost.price_refresh import price_query, refresh
from infra.cost.prices import Price, RefreshError
from infra.cost.report import Bill, monthly_cost
from infra.evaluation.evaluate import stack_values
from tests.unit.infra.conftest import STACKS, Stack, evaluate

VAULT = "arn:aws:backup:eu-west-1:123456789012:backup-vault:copies"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/0a1b2c3d-1111-4222-8333-444455556666"


@dataclass(frozen=True)
class Part:
    type: str
    inputs: dict[str, Any] = field(default_factory=dict)
    name: str = "it"


@cache
def config(stack: str = "prod") -> Config:
    return load_config(stack_values(stack), stack, f"Pulumi.{stack}.yaml")


@cache
def bill(stack: Stack, multiple: float = 1) -> Bill:
    lines = monthly_cost(
        evaluate("platform", stack).resources, config(stack), prices.load_prices("us-east-1", Path("/nowhere")), multiple
    )
    return Bill(stack, "us-east-1", multiple, lines, config(stack).budget_usd, web_replicas=2)


def usd(part: Part, key: str, region: str = "us-east-1") -> float | None:
    lines = monthly_cost([part], config(), prices.load_prices(region, Path("/nowhere")))
    (line,) = [one for one in lines if one.key == key]
    return line.usd


@pytest.mark.parametrize(
    ("part", "key", "expected"),
    [
        (Part("aws:eks/cluster:Cluster"), "eks:cluster", 73.00),
        (Part("aws:ec2/natGateway:NatGateway"), "nat:hour", 32.85),
        (Part("aws:lb/loadBalancer:LoadBalancer", {"subnets": ["a", "b"]}), "alb:hour", 16.425),
        (Part("aws:lb/loadBalancer:LoadBalancer", {"subnets": ["a", "b"]}), "ipv4:hour", 7.30),
        (Part("aws:rds/instance:Instance", {"instanceClass": "db.t4g.small", "multiAz": True, "allocatedStorage": 400}), "rds:db.t4g.small", 46.72),
        (Part("aws:rds/instance:Instance", {"instanceClass": "db.t4g.small", "multiAz": True, "allocatedStorage": 400}), "rds:gp3", 92.00),
        (Part("aws:wafv2/webAcl:WebAcl", {"rules": [{}] * 16}), "waf:rule", 16.00),
        (Part("aws:kms/key:Key"), "kms:key", 1.00),
        (Part("aws:cloudwatch/metricAlarm:MetricAlarm", {"metricQueries": [{"metric": {}}, {"metric": {}}, {"expression": ""}]}), "alarm", 0.20),
    ],
)  # fmt: skip
def test_a_resource_costs_what_the_price_list_says(part: Part, key: str, expected: float) -> None:
    assert usd(part, key) == pytest.approx(expected, abs=0.01)


def test_a_gateway_endpoint_is_free() -> None:
    lines = monthly_cost(
        [Part("aws:ec2/vpcEndpoint:VpcEndpoint", {"vpcEndpointType": "Gateway"})], config(), prices.load_prices("us-east-1")
    )
    assert not [one for one in lines if one.key == "endpoint:hour"]


def test_an_unknown_price_is_unknown_and_in_no_sum() -> None:
    part = Part("aws:elasticache/replicationGroup:ReplicationGroup", {"nodeType": "cache.z9.large", "engine": "valkey"})
    lines = monthly_cost([part], config(), prices.load_prices("us-east-1"))
    (line,) = [one for one in lines if one.key == "cache:valkey:cache.z9.large"]
    assert (line.usd, line.unit_usd, line.verified, line.source) == (None, None, False, "unknown")
    told = Bill("prod", "us-east-1", 1, lines, 1, web_replicas=2)
    assert line in told.unknown
    assert told.usd == pytest.approx(sum(one.usd for one in lines if one.usd is not None))
    assert "unknown" in report.bill_text(told)


def test_a_restore_test_costs_an_instance_for_hours_and_a_copy_its_storage() -> None:
    plans = [Part("aws:backup/plan:Plan"), Part("aws:backup/restoreTestingPlan:RestoreTestingPlan")]
    known = prices.load_prices("us-east-1", Path("/nowhere"))
    tests = {one.key: one for one in monthly_cost(plans, config(), known) if one.part == "backups"}
    assert tests["rds:db.m7g.large"].usd == pytest.approx(730 / 168 * 3 * 0.168)  # once a week, three hours each
    values = {**stack_values("prod"), "teal:backup": {"copy_to": {"vault_arn": VAULT, "key_arn": KEY}}}
    copied = [one for one in monthly_cost(plans, load_config(values, "prod", "file"), known) if one.key == "backup:rds"]
    assert [one.quantity for one in copied] == [100, 100]


def test_container_insights_is_named_without_a_number() -> None:
    (line,) = [one for one in bill("prod").lines if one.key == "container-insights"]
    assert line.usd is None


def test_every_price_names_its_source_and_a_verified_one_its_day() -> None:
    for price in prices.load_prices("us-east-1", Path("/nowhere")).values():
        assert price.source
        assert price.usd > 0
        assert bool(price.date) or not price.verified


def test_the_price_of_another_region_is_never_verified_unless_read_there(tmp_path: Path) -> None:
    known = prices.load_prices("eu-central-1", tmp_path)
    assert [key for key, price in known.items() if price.verified] == ["egress:gb"]
    assert "not of eu-central-1" in known["nat:hour"].source


def test_a_refreshed_price_wins_and_stays(tmp_path: Path) -> None:
    fresh = Price("nat:hour", 0.052, "hour", "AWS Price List API", "2026-11-22", verified=True)
    prices.store_prices("eu-central-1", {"nat:hour": fresh}, tmp_path)
    prices.store_prices("eu-central-1", {}, tmp_path)
    assert prices.load_prices("eu-central-1", tmp_path)["nat:hour"] == fresh
    assert prices.load_prices("eu-west-1", tmp_path)["nat:hour"].usd == 0.045


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_s_bill_has_every_part_that_costs_money(stack: Stack) -> None:
    parts = {line.part for line in bill(stack).lines}
    assert parts >= {"cluster", "service", "search", "database", "cache", "network", "load balancer", "observability", "keys"}
    assert bill(stack).usd > 100


@pytest.mark.parametrize("stack", STACKS)
def test_ten_times_the_load_costs_more_but_not_ten_times(stack: Stack) -> None:
    assert bill(stack).usd < bill(stack, 10).usd < 10 * bill(stack).usd


def test_what_does_not_scale_costs_the_same_at_any_load() -> None:
    def part(name: str, multiple: float) -> float:
        return sum(line.usd or 0 for line in bill("prod", multiple).lines if line.part == name)

    assert part("database", 10) == part("database", 1)
    assert part("cache", 10) == part("cache", 1)
    assert part("search", 10) == part("search", 1)
    assert part("service", 10) > part("service", 1)


def test_replicas_stop_at_their_maximum() -> None:
    assert capacity.replicas(config("dev"), 1_000) == (config("dev").service.max_replicas, config("dev").service.worker_max)


def test_the_cheapest_machines_that_carry_the_pods_are_taken() -> None:
    hourly = {"m7i.large": 0.10, "m7i.xlarge": 0.20, "c7i.large": 0.09, "r7i.large": 0.13}
    assert machines(PodNeed("x", 4, 0.5, 1.0, "cmr"), hourly) == Machines(PodNeed("x", 4, 0.5, 1.0, "cmr"), "c7i.large", 2)
    spread = replace(PodNeed("x", 1, 0.5, 1.0, "cmr"), spread=3)
    assert machines(spread, hourly) == Machines(spread, "c7i.large", 3)
    memory = PodNeed("x", 1, 1, 12.0, "mr", alone=True)
    assert machines(memory, hourly) == Machines(memory, "r7i.large", 1)
    assert machines(PodNeed("x", 1, 1, 500, "cmr"), hourly) is None


def test_a_plan_above_the_budget_is_refused_and_one_within_it_is_not() -> None:
    lines = bill("dev").lines
    assert Bill("dev", "us-east-1", 1, lines, budget_usd=10, web_replicas=2).over_budget
    assert not Bill("dev", "us-east-1", 1, lines, budget_usd=1_000_000, web_replicas=2).over_budget
    assert not Bill("dev", "us-east-1", 10, lines, budget_usd=10, web_replicas=2).over_budget  # a look ahead is no plan


def priced(monkeypatch: pytest.MonkeyPatch, budget_usd: int) -> None:
    monkeypatch.setattr(report, "price_stack", lambda stack, multiple=1: replace(bill(stack, multiple), budget_usd=budget_usd))


@pytest.mark.parametrize(("budget_usd", "code"), [(10, 2), (1_000_000, 0)])
def test_the_check_exits_2_above_the_budget(
    budget_usd: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    priced(monkeypatch, budget_usd)
    assert report.main(["dev", "--check", "--json"]) == code
    said = capsys.readouterr()
    assert json.loads(said.out)["over_budget"] is (code == 2)
    assert ("teal:budget_usd in Pulumi.dev.yaml" in said.err) is (code == 2)


def test_without_the_check_a_high_price_is_only_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    priced(monkeypatch, 10)
    assert report.main(["dev"]) == 0
    assert "above it" in capsys.readouterr().out


def test_a_stack_that_does_not_exist_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(["nowhere"]) == 2
    assert "Pulumi.nowhere.yaml" in capsys.readouterr().err


def test_unverified_lines_are_marked_in_the_text() -> None:
    rows = report.bill_text(bill("dev")).splitlines()
    assert any(row.endswith("unverified") and "rds:db.t4g.small" in row for row in rows)
    assert not any(row.endswith("unverified") and "eks:cluster" in row for row in rows)


# Asking AWS.


def product(usage: str, usd: str, kind: str = "", begin: str = "0") -> str:
    return json.dumps(
        {
            "product": {"attributes": {"usagetype": usage, "instanceType": kind}},
            "terms": {"OnDemand": {"t": {"priceDimensions": {"d": {"beginRange": begin, "pricePerUnit": {"USD": usd}}}}}},
        }
    )


@contextmanager
def answers(*pages: list[str]) -> Iterator[Any]:
    client = boto3.client(
        "pricing", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )  # pragma: allowlist secret
    with Stubber(client) as stub:
        for page in pages:
            stub.add_response("get_products", {"PriceList": page, "FormatVersion": "aws_v1"})
        yield client


def test_a_price_is_taken_when_aws_names_one() -> None:
    with answers([product("EUC1-NatGateway-Hours", "0.052"), product("EUC1-NatGateway-Bytes", "0.052")]) as client:
        found, missing = refresh(client, "eu-central-1", ["nat:hour"])
    assert (found["nat:hour"].usd, found["nat:hour"].verified, missing) == (0.052, True, [])


def test_several_prices_for_one_key_are_no_answer() -> None:
    with answers([product("EUC1-NatGateway-Hours", "0.052"), product("EUC1-NatGateway-Hours", "0.045")]) as client:
        assert refresh(client, "eu-central-1", ["nat:hour"]) == ({}, ["nat:hour"])


def test_a_key_without_a_certain_question_is_not_asked() -> None:
    assert price_query("amp:collector") is None
    with answers() as client:
        assert refresh(client, "eu-central-1", ["amp:collector"]) == ({}, ["amp:collector"])


def test_machines_come_together_so_that_the_cheapest_is_the_cheapest() -> None:
    page = [product("EUC1-BoxUsage:m7i.large", "0.1208", "m7i.large"), product("EUC1-BoxUsage:p5.48xlarge", "98", "p5.48xlarge")]
    with answers(page) as client:
        found, missing = refresh(client, "eu-central-1", ["ec2:m7i.large"])
    assert {key: price.usd for key, price in found.items()} == {"ec2:m7i.large": 0.1208}
    assert missing == []


def test_a_million_requests_are_priced_by_the_million() -> None:
    with answers([product("EUC1-RequestV2-Tier1", "0.0000006")]) as client:
        found, _ = refresh(client, "eu-central-1", ["waf:million"])
    assert found["waf:million"].usd == pytest.approx(0.60)


def test_when_aws_refuses_the_reason_and_the_next_command_are_said() -> None:
    client = boto3.client(
        "pricing", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )  # pragma: allowlist secret
    with Stubber(client) as stub:
        stub.add_client_error("get_products", "AccessDeniedException")
        with pytest.raises(RefreshError, match="get-caller-identity"):
            refresh(client, "eu-central-1", ["nat:hour"])


# The committed list of machines.

GO = 'package pricing\n// generated at 2026-07-20T13:44:30Z for us-east-1\nvar P = x{\n\t"us-east-1": {\n\t\t"m7i.large": 0.100800, "p5.48xlarge": 98.3,\n\t},\n}\n'


def test_prices_are_read_from_the_module_s_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "module.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(f"{extract_prices.MODULE}@v1.15.1/{extract_prices.SOURCE}", GO)
    target = tmp_path / "prices.json"
    monkeypatch.setattr(extract_prices, "TARGET", target)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert extract_prices.main([str(archive), "v1.15.1", "2026-10-23"]) == 0
    written = json.loads(target.read_text())
    assert written["on_demand"] == {"us-east-1": {"m7i.large": 0.1008}}
    assert written["about"]["read_on"] == "2026-07-20"


def test_a_source_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="another form"):
        extract_prices.extract_machine_prices("package pricing")


def test_a_part_without_a_price_is_refused_and_never_counts_as_within_the_budget(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from infra.cost import report

    line = report.BillLine(
        "database", "rds:db.x9.large", "rds:db.x9.large: 1 x db.x9.large", 730, "", None, None, False, "unknown", ""
    )
    monkeypatch.setattr(
        report, "price_stack", lambda stack, multiple=1: report.Bill(stack, "eu-central-1", multiple, (line,), 700, 1)
    )
    assert report.main(["dev", "--check"]) == 2
    said = capsys.readouterr()
    assert "no price is known for rds:db.x9.large" in said.err
    assert "within it" not in said.out
    assert report.main(["dev", "--check", "--allow-unpriced"]) == 0


def test_a_node_keeps_room_for_what_runs_on_every_node() -> None:
    """Pods that fill a machine to the last would wait for ever: agents and drivers ask for up to 0.42 CPU of each."""
    need = capacity.PodNeed("service", 2, 0.8, 1.0, "m")
    found = capacity.machines(need, {"m7i.large": 1.0})
    assert found is not None
    assert found.count == 2  # 1.6 of 2 CPUs would leave 0.4
