"""The cluster: who may reach it, what it encrypts and writes down, what it brings for workloads, and in which order it goes away."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from infra.compose.foundation import admins, check_deployer
from infra.config.read import ConfigError, load_config
from infra.evaluation.evaluate import ROOT, Evaluation, RegisteredResource, evaluate_program
from infra.platform.cluster.kubeconfig import kubeconfig
from infra.platform.cluster.objects import NODE_LIFE_HOURS, search_pool
from tests.unit.infra.config.test_config import edited
from tests.unit.infra.conftest import evaluate, of_type, variant


def _one(result: Evaluation, kind: str, name: str | None = None) -> RegisteredResource:
    (found,) = [each for each in of_type(result, kind) if name in (None, each.name)]
    return found


def test_auto_mode_runs_machines_disks_and_load_balancing_and_no_addon_of_its_own(platform: Evaluation) -> None:
    cluster = _one(platform, "aws:eks/cluster:Cluster")
    inputs = cluster.inputs
    assert inputs["computeConfig"]["enabled"]
    assert inputs["computeConfig"]["nodePools"] == ["general-purpose", "system"]
    assert inputs["storageConfig"] == {"blockStorage": {"enabled": True}}
    assert inputs["kubernetesNetworkConfig"]["elasticLoadBalancing"]["enabled"]
    assert inputs["bootstrapSelfManagedAddons"] is False
    assert cluster.protect


def test_secrets_are_encrypted_with_our_key_and_every_log_is_kept(platform: Evaluation) -> None:
    inputs = _one(platform, "aws:eks/cluster:Cluster").inputs
    assert inputs["encryptionConfig"]["resources"] == ["secrets"]
    assert ":kms:" in inputs["encryptionConfig"]["provider"]["keyArn"]
    assert set(inputs["enabledClusterLogTypes"]) == {"api", "audit", "authenticator", "controllerManager", "scheduler"}
    group = _one(platform, "aws:cloudwatch/logGroup:LogGroup", "cluster-control")
    assert group.inputs["name"] == f"/aws/eks/{inputs['name']}/cluster"
    assert group.urn in _one(platform, "aws:eks/cluster:Cluster").depends_on  # or EKS makes it, and keeps it for ever


def test_access_is_by_listed_roles_alone(platform: Evaluation) -> None:
    inputs = _one(platform, "aws:eks/cluster:Cluster").inputs["accessConfig"]
    assert inputs == {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False}
    entries = {each.inputs["principalArn"] for each in of_type(platform, "aws:eks/accessEntry:AccessEntry")}
    assert "arn:aws:iam::123456789012:role/deployer" in entries
    assert len(entries) == len(of_type(platform, "aws:eks/accessEntry:AccessEntry"))  # EKS refuses a second for one role
    policies = of_type(platform, "aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
    assert {each.inputs["principalArn"].rsplit("/", 1)[-1] for each in policies} == {
        "deployer",
        _one(platform, "aws:iam/role:Role", "github-up").inputs["name"],
    }


def test_githubs_own_role_and_the_listed_ones_have_one_entry_each() -> None:
    listed = ["arn:aws:iam::123456789012:role/teal-prod-github-up", "arn:aws:iam::123456789012:role/team/ops"]
    config = load_config(edited("prod", {"teal:cluster.admin_role_arns": listed}), "prod", "x")
    assert admins(config, "123456789012") == {"ops": listed[1], "up": listed[0]}


@pytest.mark.parametrize("kind", ["up", pytest.param("preview", marks=pytest.mark.exhaustive)])
def test_who_runs_the_program_does_not_change_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    by_a_person = evaluate("platform", "dev")
    monkeypatch.setattr(
        "infra.evaluation.evaluate.administrator", lambda _values: f"arn:aws:iam::123456789012:role/teal-dev-github-{kind}"
    )
    by_github = evaluate_program("teal", ROOT / "infra" / "__main__.py", "dev", edited("dev", {}))
    assert {each.urn: each for each in by_github.resources} == {each.urn: each for each in by_a_person.resources}
    assert by_github.outputs == by_a_person.outputs


def test_prices_and_pictures_are_made_for_a_file_that_lists_other_roles_than_ours() -> None:
    assert "cluster-admin-ops" in {each.name for each in of_type(variant(), "aws:eks/accessEntry:AccessEntry")}


@pytest.mark.parametrize(
    ("account", "deployer", "words"),
    [
        ("123456789012", "arn:aws:iam::123456789012:role/ann", "add arn:aws:iam::123456789012:role/ann"),
        ("123456789012", "arn:aws:iam::123456789012:role/teal-dev-github-release", "is not listed"),
        ("123456789012", "arn:aws:iam::123456789012:user/ann", "run as a role that is listed: a user cannot be"),
        ("210987654321", "arn:aws:iam::210987654321:role/teal-dev-github-up", "is the example that the file came with"),
    ],
)
def test_who_could_not_reach_the_cluster_is_refused_before_anything_is_made(account: str, deployer: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_deployer(load_config(edited("dev", {}), "dev", "x"), account, deployer)
    assert str(caught.value).startswith("Pulumi.dev.yaml cannot be built:\n  teal:cluster.")
    assert "teal:cluster.admin_role_arns: " in str(caught.value)
    assert words in str(caught.value)


def test_machines_may_join_before_the_cluster_starts_any(platform: Evaluation) -> None:
    cluster = _one(platform, "aws:eks/cluster:Cluster")
    attached = {
        each.urn for each in of_type(platform, "aws:iam/rolePolicyAttachment:RolePolicyAttachment") if "cluster-" in each.name
    }
    assert len(attached) == 7  # five of the control plane, two of the nodes
    assert attached <= set(cluster.depends_on)


def test_the_kubernetes_api_is_public_only_for_listed_networks() -> None:
    for stack in ("dev", "staging", "prod"):
        config = _one(evaluate("platform", stack), "aws:eks/cluster:Cluster").inputs["vpcConfig"]  # type: ignore[arg-type]
        assert config["endpointPrivateAccess"]
        assert "0.0.0.0/0" not in config["publicAccessCidrs"]


def test_the_provider_asks_for_a_token_each_time_and_outlives_what_it_needs(platform: Evaluation) -> None:
    provider = _one(platform, "pulumi:providers:kubernetes")
    config = json.loads(provider.inputs["kubeconfig"])
    user = config["users"][0]["user"]
    assert list(user) == ["exec"]  # no token, no certificate
    assert user["exec"]["args"][2:4] == ["eks", "get-token"]
    assert user["exec"]["interactiveMode"] == "Never"
    needed = {
        each.urn for each in platform.resources if each.type == "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
    } | {each.urn for each in of_type(platform, "aws:ec2/route:Route")}
    assert needed <= set(provider.depends_on)


def test_every_kubernetes_object_goes_through_that_provider(platform: Evaluation) -> None:
    objects = [each for each in platform.resources if each.type.startswith("kubernetes:")]
    assert objects
    assert all("::cluster::" in each.provider for each in objects), {each.provider for each in objects}


def test_search_has_machines_of_its_own_that_are_never_emptied_to_save_money(platform: Evaluation) -> None:
    pools = [one.inputs["spec"] for one in of_type(platform, "kubernetes:karpenter.sh/v1:NodePool")]
    spec = pools[0]
    lives = [pool["template"]["spec"]["expireAfter"] for pool in pools]
    assert len(set(lives)) == len(lives) >= 2  # born together, they do not end together
    zones = [one["values"] for pool in pools for one in pool["template"]["spec"]["requirements"] if one["key"].endswith("/zone")]
    assert len(zones) == len(pools) == len({zone for (zone,) in zones})
    template = spec["template"]["spec"]
    assert {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]} in template["requirements"]
    assert template["taints"] == [{"key": "teal/pool", "value": "search", "effect": "NoSchedule"}]
    assert spec["template"]["metadata"]["labels"] == {"teal/pool": "search"}
    assert spec["disruption"]["consolidationPolicy"] == "WhenEmpty"
    assert {"nodes": "1"} in spec["disruption"]["budgets"]


def test_a_single_search_node_is_replaced_in_two_hours_of_the_night_alone() -> None:
    """Search is down meanwhile; three nodes take turns, and need no window."""
    _, closed = search_pool(1, "eu-central-1a", NODE_LIFE_HOURS)["disruption"]["budgets"]
    assert closed == {"nodes": "0", "schedule": "0 4 * * *", "duration": "22h"}
    assert search_pool(3, "eu-central-1a", NODE_LIFE_HOURS)["disruption"]["budgets"] == [{"nodes": "1"}]


def test_a_node_and_its_drain_live_no_longer_than_auto_mode_allows() -> None:
    template = search_pool(3, "eu-central-1a", NODE_LIFE_HOURS)["template"]["spec"]
    hours = [int(re.fullmatch(r"(\d+)h", template[key])[1]) for key in ("expireAfter", "terminationGracePeriod")]  # type: ignore[index]
    assert sum(hours) <= 336


def test_disks_are_encrypted_grow_and_outlive_their_claims(platform: Evaluation) -> None:
    inputs = _one(platform, "kubernetes:storage.k8s.io/v1:StorageClass").inputs
    assert inputs["provisioner"] == "ebs.csi.eks.amazonaws.com"
    assert inputs["reclaimPolicy"] == "Retain"
    assert inputs["allowVolumeExpansion"]
    assert inputs["volumeBindingMode"] == "WaitForFirstConsumer"
    parameters = inputs["parameters"]
    assert (parameters["type"], parameters["encrypted"]) == ("gp3", "true")
    assert ":kms:" in parameters["kmsKeyId"]
    assert parameters.keys() == {"type", "encrypted", "kmsKeyId"}  # Auto Mode's policies refuse volumes with tags of ours


def test_network_policies_are_switched_on_and_metrics_are_there_for_autoscaling(platform: Evaluation) -> None:
    inputs = _one(platform, "kubernetes:core/v1:ConfigMap", "network-policies").inputs
    assert (inputs["metadata"]["namespace"], inputs["metadata"]["name"]) == ("kube-system", "amazon-vpc-cni")
    assert inputs["data"] == {"enable-network-policy-controller": "true"}
    addons = {each.inputs["addonName"] for each in of_type(platform, "aws:eks/addon:Addon")}
    assert "metrics-server" in addons


def test_tokens_of_service_accounts_are_known_to_iam(platform: Evaluation) -> None:
    provider = _one(platform, "aws:iam/openIdConnectProvider:OpenIdConnectProvider", "cluster")
    assert provider.inputs["clientIdLists"] == ["sts.amazonaws.com"]
    assert provider.inputs["url"].startswith("https://oidc.eks.")


def test_a_kubeconfig_is_a_kubeconfig() -> None:
    document: dict[str, Any] = json.loads(kubeconfig("eu-central-1", "teal-dev", "https://x.example", "Y2E="))
    assert document["current-context"] == "teal-dev"
    assert document["clusters"][0]["cluster"] == {"server": "https://x.example", "certificate-authority-data": "Y2E="}
