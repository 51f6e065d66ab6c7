"""What everything else stands on: the account, keys, network, GitHub's roles, the cluster."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_aws import Provider, get_caller_identity, iam

from infra.components.cluster import Cluster, ClusterArgs
from infra.components.github_roles import GithubRoles, GithubRolesArgs, role_name
from infra.components.keys import Keys, KeysArgs
from infra.components.network import Network, NetworkArgs
from infra.components.secrets import SecretsDriver
from infra.config import Config


@dataclass(frozen=True)
class Foundation:
    """`opts` gives a component the stack's AWS provider, which tags everything it makes."""

    account_id: str
    opts: pulumi.ResourceOptions
    keys: Keys
    network: Network
    github: GithubRoles
    cluster: Cluster
    secrets_driver: SecretsDriver


def build(config: Config) -> Foundation:
    """Keys, then network, then cluster: each needs the one before."""
    aws = Provider("aws", region=config.region, default_tags={"tags": config.tags})
    opts, asking = pulumi.ResourceOptions(providers=[aws]), pulumi.InvokeOptions(provider=aws)
    caller = get_caller_identity(opts=asking)
    # A session's ARN changes with each session; the role behind it stays.
    deployer = iam.get_session_context(arn=caller.arn, opts=asking).issuer_arn
    account = caller.account_id
    keys = Keys("keys", KeysArgs(config.prefix, account, config.region), opts)
    network = Network(
        "network",
        NetworkArgs(
            prefix=config.prefix,
            region=config.region,
            cidr=config.network.cidr,
            zones=config.network.zones,
            nat=config.network.nat,
            flow_log_days=config.network.flow_log_days,
            logs_key_arn=keys.logs_arn,
        ),
        opts,
    )
    github = GithubRoles(
        "github",
        GithubRolesArgs(
            config.prefix, config.github.repository, config.github.environment, provider_arn=config.github.oidc_provider_arn
        ),
        opts,
    )
    cluster = Cluster(
        "cluster",
        ClusterArgs(
            prefix=config.prefix,
            region=config.region,
            version=config.cluster.version,
            subnet_ids=network.private_subnet_ids,
            endpoint_cidrs=config.cluster.endpoint_cidrs,
            admins={**admins(config, account, deployer), "up": github.arns["up"]},
            log_days=config.cluster.log_days,
            egress=network.egress,
            data_key_arn=keys.data_arn,
            logs_key_arn=keys.logs_arn,
            search_nodes=config.search.nodes,
            tags=config.tags,
        ),
        opts,
    )
    driver = SecretsDriver("secrets", cluster.name, cluster.provider, cluster.ready, opts)
    return Foundation(account, opts, keys, network, github, cluster, driver)


def admins(config: Config, account_id: str, deployer: str) -> dict[str, str]:
    """Administrators of the cluster beside GitHub's own role, by role name: who runs this program, and who is listed."""
    own = f"arn:aws:iam::{account_id}:role/{role_name(config.prefix, 'up')}"
    return {arn.rsplit("/", 1)[-1]: arn for arn in (deployer, *config.cluster.admin_role_arns) if arn != own}
