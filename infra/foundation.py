"""What everything else stands on: the account, keys, network, GitHub's roles, the cluster."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_aws import Provider, get_caller_identity, iam

from infra.components import github_roles
from infra.components.cluster import Cluster, ClusterArgs
from infra.components.github_roles import GithubRoles, GithubRolesArgs, Kind
from infra.components.keys import Keys, KeysArgs
from infra.components.network import Network, NetworkArgs
from infra.components.secrets import SecretsDriver
from infra.config import Config, refused
from infra.rules import UP, Refusal, role_name

STAND_IN_ACCOUNT = "123456789012"  # of the committed files; AWS's own documentation uses it


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
    check_deployer(config, account, deployer)
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
            admins={**admins(config, account), UP: github.arns["up"]},
            log_days=config.cluster.log_days,
            egress=network.egress,
            data_key_arn=keys.data_arn,
            logs_key_arn=keys.logs_arn,
            search_nodes=config.search.nodes,
        ),
        opts,
    )
    driver = SecretsDriver("secrets", cluster.name, cluster.provider, cluster.ready, opts)
    return Foundation(account, opts, keys, network, github, cluster, driver)


def admins(config: Config, account_id: str) -> dict[str, str]:
    """Administrators of the cluster by name: the listed roles and GitHub's `up`. Never who happens to run the program: another run by
    somebody else would take the entry away, with the access of the first.
    """
    own = github_role(config, account_id, "up")
    return {role_name(arn): arn for arn in config.cluster.admin_role_arns if arn != own} | {UP: own}


def github_role(config: Config, account_id: str, kind: Kind) -> str:
    """ARN of a role of GitHub's workflows, known before it exists."""
    return f"arn:aws:iam::{account_id}:role/{github_roles.role_name(config.prefix, kind)}"


def check_deployer(config: Config, account_id: str, deployer: str) -> None:
    """Raises ConfigError when `deployer` could not reach the cluster that it is about to make, or another account's role is listed by
    the committed stand-in. GitHub's preview role only looks, through an entry of its own.
    """
    refusals: list[Refusal] = []
    for arn in config.cluster.admin_role_arns:
        if f"::{STAND_IN_ACCOUNT}:" in arn and account_id != STAND_IN_ACCOUNT:
            refusals.append(
                Refusal("cluster.admin_role_arns", f"{arn} is the stand-in that the file came with", "put your role's ARN there")
            )
    if deployer not in {*admins(config, account_id).values(), github_role(config, account_id, "preview")}:
        problem = f"{deployer} runs this program and is not listed, so it could not reach the cluster"
        fix = (
            f"add {deployer}, or run as a role that is listed"
            if ":role/" in deployer
            else "run as a role that is listed: a user cannot be"
        )
        refusals.append(Refusal("cluster.admin_role_arns", problem, fix))
    if refusals:
        raise refused(refusals, f"Pulumi.{config.stack}.yaml")
