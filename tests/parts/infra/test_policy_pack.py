"""The policy pack as Pulumi's engine meets it: a process that answers over gRPC on loopback."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from infra.policy.rules import RULES
from tests.unit.infra.policy.test_policy import RULE, deployment

ROOT = Path(__file__).parents[3]  # an editable install knows only the packages that were there when it was made
PACK = ROOT / "infra" / "policy"
START_SECONDS = 60  # importing Pulumi's SDK on a busy machine
MANDATORY = analyzer_pb2.MANDATORY


@pytest.fixture(scope="module")
def analyzer() -> Iterator[Any]:
    serving = subprocess.Popen(
        [sys.executable, "-u", str(PACK / "__main__.py")],
        cwd=PACK,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        assert serving.stdout is not None
        ready, _, _ = select.select([serving.stdout], [], [], START_SECONDS)
        assert ready, "the pack did not say its port"
        port = int(serving.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield analyzer_pb2_grpc.AnalyzerStub(channel)
    finally:
        serving.kill()
        serving.wait()


def ask(analyzer: Any, kind: str, inputs: dict[str, Any], *, protect: bool = True, stack: str = "dev") -> dict[str, str]:
    """What the pack says about a resource: message by policy, of mandatory ones."""
    properties = struct_pb2.Struct()
    properties.update(inputs)
    request = analyzer_pb2.AnalyzeRequest(
        type=kind,
        name="it",
        urn=f"urn:pulumi:{stack}::teal::{kind}::it",
        properties=properties,
        options=analyzer_pb2.AnalyzerResourceOptions(protect=protect),
    )
    found = analyzer.Analyze(request, timeout=30).diagnostics
    assert all("can't run policy" not in one.message for one in found)
    return {one.policyName: one.message for one in found if one.enforcementLevel == MANDATORY}


def test_the_pack_offers_every_rule(analyzer: Any) -> None:
    info = analyzer.GetAnalyzerInfo(empty_pb2.Empty(), timeout=30)
    assert info.name == yaml.safe_load((PACK / "PulumiPolicy.yaml").read_text())["name"]
    assert {one.name for one in info.policies} == {rule.name for rule in RULES}
    assert {one.enforcementLevel for one in info.policies} == {MANDATORY}


def test_an_open_port_is_refused(analyzer: Any) -> None:
    kind = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    assert "open to the world" in ask(analyzer, kind, {**RULE, "fromPort": 22, "toPort": 22})["exposure"]
    assert ask(analyzer, kind, RULE) == {}


def test_a_database_without_protection_is_refused(analyzer: Any) -> None:
    inputs = {"storageEncrypted": True, "backupRetentionPeriod": 7}
    assert list(ask(analyzer, "aws:rds/instance:Instance", inputs, protect=False)) == ["protection"]


def test_lists_in_lists_are_looked_into(analyzer: Any) -> None:
    assert ask(analyzer, "kubernetes:apps/v1:Deployment", deployment()) == {}
    assert "latest" in ask(analyzer, "kubernetes:apps/v1:Deployment", deployment({"image": "teal:latest"}))["image-by-digest"]


def test_what_a_preview_does_not_know_yet_neither_fails_nor_hides_the_rest(analyzer: Any) -> None:
    logs = "aws:cloudwatch/logGroup:LogGroup"
    assert ask(analyzer, logs, {"kmsKeyId": UNKNOWN_STRING_VALUE, "retentionInDays": 7}) == {}
    assert "for ever" in ask(analyzer, logs, {"kmsKeyId": UNKNOWN_STRING_VALUE})["encryption"]


def test_the_pack_knows_prod_by_its_stack(analyzer: Any) -> None:
    kind, inputs = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler", {"spec": {"minReplicas": 1}}
    assert ask(analyzer, kind, inputs, stack="dev-blue") == {}
    assert list(ask(analyzer, kind, inputs, stack="prod-blue")) == ["replicas"]
