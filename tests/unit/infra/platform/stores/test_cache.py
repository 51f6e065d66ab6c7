"""The cache: TLS and a token always, failover where there is somebody to fail over to, and nothing worth keeping."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3
import pytest
from redis.connection import parse_url

from infra.config.sections import CacheConfig
from infra.platform.stores.cache import ENGINE, FAMILY, PARAMETERS, CacheArgs, CacheReplicationGroup
from tests.unit.infra.mocks import run

KEY = "arn:aws:kms:eu-central-1:111122223333:key/1"


def registered(replicas: int) -> dict[str, Mapping[str, Any]]:
    config = CacheConfig(replicas=replicas)
    found = run(lambda: CacheReplicationGroup("cache", CacheArgs("teal-prod", config, "vpc-1", ["subnet-1"], "sg-pods", KEY)))
    return {one.type.rsplit(":", 1)[-1]: one.inputs for one in found}


@pytest.mark.parametrize(("replicas", "failover"), [(0, False), (1, True), (2, True)])
def test_there_is_failover_when_there_is_a_replica(replicas: int, failover: bool) -> None:
    said = registered(replicas)["ReplicationGroup"]
    assert said["numCacheClusters"] == replicas + 1
    assert (said["automaticFailoverEnabled"], said["multiAzEnabled"]) == (failover, failover)


def test_connections_are_encrypted_and_need_the_token() -> None:
    said = registered(1)["ReplicationGroup"]
    assert (said["transitEncryptionEnabled"], said["atRestEncryptionEnabled"], said["kmsKeyId"]) == (True, True, KEY)
    assert 16 <= len(said["authToken"]) <= 128
    assert said["authToken"].isalnum()


def test_only_the_cluster_connects() -> None:
    found = registered(1)
    group, rule = found["SecurityGroup"], found["SecurityGroupIngressRule"]
    assert rule["referencedSecurityGroupId"] == "sg-pods"
    assert (rule["fromPort"], rule["toPort"], rule["ipProtocol"]) == (6379, 6379, "tcp")
    assert "cidrIpv4" not in rule
    assert "ingress" not in group
    assert group["egress"] == []


def test_a_full_cache_forgets_instead_of_refusing() -> None:
    said = {one["name"]: one["value"] for one in registered(1)["ParameterGroup"]["parameters"]}
    assert said["maxmemory-policy"].startswith("allkeys-")
    assert {one.name for one in PARAMETERS} == set(said)


def test_the_secret_holds_an_address_that_the_services_client_understands() -> None:
    found = registered(1)
    secret = json.loads(found["SecretVersion"]["secretString"])
    parsed = parse_url(secret["url"])
    assert parsed["password"] == secret["auth_token"] == found["ReplicationGroup"]["authToken"]
    assert parsed["connection_class"].__name__ == "SSLConnection"
    assert found["Secret"]["kmsKeyId"] == KEY


def test_the_engine_and_its_family_are_in_awss_own_model() -> None:
    session = boto3.session.Session()
    client = session.client(
        "elasticache", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
    )  # pragma: allowlist secret
    model = client.meta.service_model
    families = model.operation_model("CreateCacheParameterGroup").input_shape.members["CacheParameterGroupFamily"].documentation
    engines = model.operation_model("CreateReplicationGroup").input_shape.members["Engine"].documentation
    assert f"<code>{FAMILY}</code>" in families
    assert f"<code>{ENGINE}</code>" in engines


def test_names_fit_elasticache() -> None:
    name = registered(1)["ReplicationGroup"]["replicationGroupId"]
    assert len(name) <= 40
    assert "--" not in name
