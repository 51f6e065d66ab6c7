"""Search: keeps its disks, spreads over zones, knows its users, and proves that it can write snapshots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from infra.config.search_size import LARGEST_HEAP_MIB, heap_mib
from infra.config.sections import SearchConfig
from infra.platform.search import setup, users
from infra.platform.search.network import search_network_policies
from infra.platform.search.resources import NAMESPACE, SERVICE_ACCOUNT, zones
from infra.platform.search.search import Search, SearchArgs
from infra.platform.search.snapshots import elasticsearch_trust, snapshot_role_policy
from tests.unit.infra.mocks import RegisteredResource, run

KEY = "arn:aws:kms:eu-central-1:123456789012:key/1"
ISSUER = "oidc.example/id/1"
ELASTICSEARCH = "kubernetes:elasticsearch.k8s.elastic.co/v1:Elasticsearch"


def registered(config: SearchConfig, network_zones: int = 3) -> list[RegisteredResource]:
    def program() -> None:
        import pulumi_kubernetes

        provider = pulumi_kubernetes.Provider("cluster", kubeconfig="{}")
        args = SearchArgs(
            prefix="teal-prod",
            region="eu-central-1",
            account_id="123456789012",
            config=config,
            network_zones=network_zones,
            cidr="10.1.0.0/16",
            storage_class="gp3",
            kms_key_arn=KEY,
            oidc_provider_arn="arn:aws:iam::123456789012:oidc-provider/oidc.example",
            oidc_issuer=ISSUER,
            provider=provider,
            client_namespaces=["teal-blue", "teal-green"],
        )
        Search("search", args, pulumi.ResourceOptions())

    return run(program)


def only(found: list[RegisteredResource], kind: str) -> RegisteredResource:
    (one,) = [each for each in found if each.type == kind]
    return one


def nodes(config: SearchConfig, network_zones: int = 3) -> Mapping[str, Any]:
    spec = only(registered(config, network_zones), ELASTICSEARCH).inputs["spec"]
    (one,) = spec["nodeSets"]
    return one


@pytest.mark.parametrize(
    ("memory_gib", "mib"), [(2, 1024), (4, 2048), (16, 8192), (62, LARGEST_HEAP_MIB), (64, LARGEST_HEAP_MIB)]
)
def test_heap_is_half_of_memory_and_never_past_short_pointers(memory_gib: int, mib: int) -> None:
    assert heap_mib(memory_gib) == mib
    (container,) = nodes(SearchConfig(memory_gib=memory_gib))["podTemplate"]["spec"]["containers"]
    assert {"name": "ES_JAVA_OPTS", "value": f"-Xms{mib}m -Xmx{mib}m"} in container["env"]
    assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"] == f"{memory_gib}Gi"


@pytest.mark.parametrize(
    ("config", "network_zones", "expected"),
    [
        (SearchConfig(nodes=1, replicas=0), 3, 1),
        (SearchConfig(nodes=3), 2, 2),
        (SearchConfig(nodes=3), 3, 3),
        (SearchConfig(nodes=6, zones=2), 3, 2),
    ],
)
def test_nodes_fill_the_zones_there_are(config: SearchConfig, network_zones: int, expected: int) -> None:
    assert zones(config, network_zones) == expected
    assert ("zoneAwareness" in nodes(config, network_zones)) == (expected > 1)


def test_one_node_may_leave_its_machine_and_three_never_share_one() -> None:
    alone = only(registered(SearchConfig(nodes=1, replicas=0)), ELASTICSEARCH).inputs["spec"]
    three = only(registered(SearchConfig(nodes=3)), ELASTICSEARCH).inputs["spec"]
    assert alone["podDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    assert "podDisruptionBudget" not in three  # ECK's own: one at a time, only while green
    (apart,) = three["nodeSets"][0]["podTemplate"]["spec"]["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert apart["topologyKey"] == "kubernetes.io/hostname"


def test_disks_outlive_the_cluster_and_its_pods() -> None:
    made = only(registered(SearchConfig(storage_gib=100)), ELASTICSEARCH)
    assert made.protect
    assert made.inputs["spec"]["volumeClaimDeletePolicy"] == "DeleteOnScaledownOnly"
    (claim,) = made.inputs["spec"]["nodeSets"][0]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "elasticsearch-data"
    assert claim["spec"]["storageClassName"] == "gp3"
    assert claim["spec"]["resources"]["requests"]["storage"] == "100Gi"


def test_the_token_lies_where_elasticsearch_819_reads_it() -> None:
    spec = nodes(SearchConfig())["podTemplate"]["spec"]
    (container,) = spec["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    (mount,) = container["volumeMounts"]
    (volume,) = spec["volumes"]
    (source,) = volume["projected"]["sources"]
    assert environment["AWS_WEB_IDENTITY_TOKEN_FILE"] == f"{mount['mountPath']}/{source['serviceAccountToken']['path']}"
    assert environment["AWS_WEB_IDENTITY_TOKEN_FILE"].endswith("/config/repository-s3/aws-web-identity-token-file")
    assert environment["AWS_ROLE_ARN"].startswith("arn:aws:iam::")
    assert spec["serviceAccountName"] == SERVICE_ACCOUNT


def test_only_elasticsearchs_own_service_account_reaches_the_snapshots() -> None:
    (statement,) = json.loads(elasticsearch_trust("arn:provider", ISSUER))["Statement"]
    assert statement["Condition"]["StringEquals"] == {
        f"{ISSUER}:aud": "sts.amazonaws.com",
        f"{ISSUER}:sub": f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}",
    }
    reached = {one["Resource"] for one in snapshot_role_policy("arn:aws:s3:::b", KEY)["Statement"]}
    assert reached == {"arn:aws:s3:::b", f"arn:aws:s3:::b/{setup.BASE_PATH}/*", KEY}


def test_nobody_but_the_colors_and_the_operator_asks_search() -> None:
    said = search_network_policies("10.0.0.0/16", ["teal-blue", "teal-green"])
    asking = said["elasticsearch"]["ingress"][0]["from"]
    named = [
        one["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for one in asking if "namespaceSelector" in one
    ]
    assert named == ["teal-blue", "teal-green", "elastic-system"]
    assert said["default"]["podSelector"] == {}
    assert "ingress" not in said["default"]


def test_the_services_user_stays_within_its_indices_and_cannot_snapshot() -> None:
    role = users.roles()[users.APP]
    assert [one["names"] for one in role["indices"]] == [["teal*"]]
    assert set(role["cluster"]) == {"monitor", "manage_index_templates"}
    for name in (users.APP, users.OPERATOR, users.SETUP):
        assert not {"all", "manage", "manage_security"} & set(users.roles()[name]["cluster"])


def test_a_users_password_is_the_same_in_the_cluster_and_in_secrets_manager() -> None:
    found = registered(SearchConfig())
    written = {
        one.name: json.loads(one.inputs["secretString"])
        for one in found
        if one.type == "aws:secretsmanager/secretVersion:SecretVersion"
    }
    inside = {
        one.inputs["stringData"]["username"]: one.inputs["stringData"]
        for one in found
        if one.type == "kubernetes:core/v1:Secret" and "username" in one.inputs.get("stringData", {})
    }
    assert set(written) == {f"search-{users.APP}", f"search-{users.OPERATOR}"}  # nobody needs the set-up user outside
    for user in (users.APP, users.OPERATOR):
        assert written[f"search-{user}"]["password"] == inside[user]["password"]
        assert inside[user]["roles"] == user
        assert inside[user]["password"].isalnum()


def test_definitions_come_before_resources_and_the_setup_last() -> None:
    found = registered(SearchConfig())
    place = {(one.type, one.name): number for number, one in enumerate(found)}
    release = only(found, "kubernetes:helm.sh/v3:Release")
    cluster, job = only(found, ELASTICSEARCH), only(found, "kubernetes:batch/v1:Job")
    assert release.protect  # removing it removes the definitions, and with them every cluster
    assert place[release.type, release.name] < place[cluster.type, cluster.name] < place[job.type, job.name]
    assert release.urn in cluster.depends_on
    assert cluster.urn in job.depends_on
