"""The base of every other component: the account, keys, network, GitHub's roles, the cluster."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_aws import Provider, get_caller_identity, iam

from contract import names
from infra.config import examples
from infra.config.read import Config, settings_error
from infra.config.rules import UP, Refusal, role_name
from infra.delivery import github_roles
from infra.delivery.github_roles import GithubRoles, GithubRolesArgs, Kind
from infra.delivery.promotion import StackPlace, key_reader, place_of
from infra.platform import boundary
from infra.platform.cluster.eks import ClusterArgs, EksCluster
from infra.platform.cluster.secrets import SecretsDriver
from infra.platform.keys import Keys, KeysArgs, copy_statements
from infra.platform.network.vpc import Network, NetworkArgs


@dataclass(frozen=True)
class Foundation:
    """`opts` gives a component the stack's AWS provider, which tags everything it makes. `reader`: a stack in another account that
    promotes from this one."""

    account_id: str
    opts: pulumi.ResourceOptions
    keys: Keys
    network: Network
    github: GithubRoles | None
    cluster: EksCluster
    secrets_driver: SecretsDriver
    here: StackPlace
    reader: StackPlace | None


def build(config: Config) -> Foundation:
    """Create keys, network and cluster in this order, because each needs the one before."""
    aws = Provider("aws", region=config.region, default_tags={"tags": config.tags})
    opts, asking = pulumi.ResourceOptions(providers=[aws]), pulumi.InvokeOptions(provider=aws)
    caller = get_caller_identity(opts=asking)
    # The ARN of a session changes each time, so the ARN of its role is used.
    deployer = iam.get_session_context(arn=caller.arn, opts=asking).issuer_arn
    account = caller.account_id
    check_deployer(config, account, deployer)
    here = StackPlace(config.stack, account, config.region)
    reader = foreign_reader(config, here)
    copied = copies_to(config, account)
    readers = [*([key_reader(here, reader)] if reader else []), *(copy_statements(copied) if copied else [])]
    keys = Keys("keys", KeysArgs(config.prefix, account, config.region, readers), opts)
    opts = _bound(config, account, keys, opts)
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
    github = _github(config, opts)
    cluster = EksCluster(
        "cluster",
        ClusterArgs(
            prefix=config.prefix,
            region=config.region,
            version=config.cluster.version,
            subnet_ids=network.private_subnet_ids,
            endpoint_cidrs=config.cluster.endpoint_cidrs,
            admins={**admins(config, account), **({UP: github.arns["up"]} if github else {})},
            log_days=config.cluster.log_days,
            egress=network.egress,
            data_key_arn=keys.data_arn,
            logs_key_arn=keys.logs_arn,
            search_nodes=config.search.nodes,
            zones=network.zones,
            awaited=account != names.EXAMPLE_ACCOUNT,  # an evaluation without AWS has no Kubernetes API to wait for
        ),
        opts,
    )
    driver = SecretsDriver("secrets", cluster.name, cluster.provider, cluster.ready, opts)
    return Foundation(account, opts, keys, network, github, cluster, driver, here, reader)


def foreign_reader(config: Config, here: StackPlace) -> StackPlace | None:
    """The stack that promotes from this one, if it is in another account. In the same account its own policies are enough."""
    reader = place_of(config.promotion.promoted_to, here.account_id, here.region)
    return reader if reader is not None and reader.account_id != here.account_id else None


def state_bucket(config: Config, account_id: str) -> str:
    """The state's bucket, by the name that `teal bootstrap` gives it."""
    return f"{config.prefix}-state-{account_id}"


def _bound(config: Config, account: str, keys: Keys, opts: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
    """The options of every later component: the boundary is created before any role, and each role gets it."""
    copy = config.backup.copy_to
    within = boundary.boundary_statements(
        config.prefix,
        config.region,
        account,
        state_bucket(config, account),
        keys.arns,
        copies=(copy.vault_arn, copy.key_arn) if copy else None,
    )
    made = boundary.boundary_policy("boundary", config.prefix, within, opts)
    binding = boundary.binding(made, boundary.arn(account, config.prefix))
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(transformations=[binding]))


def copies_to(config: Config, account: str) -> str | None:
    """The account that the database's recovery points are copied to, if it is not this one."""
    copy = config.backup.copy_to
    other = copy.vault_arn.split(":")[4] if copy else account
    return None if other == account else other


def _github(config: Config, opts: pulumi.ResourceOptions) -> GithubRoles | None:
    """The roles of GitHub's workflows, when the file names a repository."""
    given = config.github
    if given is None:
        return None
    args = GithubRolesArgs(config.prefix, given.repository, given.environment, provider_arn=given.oidc_provider_arn)
    return GithubRoles("github", args, opts)


def admins(config: Config, account_id: str) -> dict[str, str]:
    """Administrators of the cluster by name: the listed roles and GitHub's `up`. The identity that runs the program is not added,
    because a run by another identity would remove its entry and its access.
    """
    own = github_role(config, account_id, "up")
    listed = {role_name(arn): arn for arn in config.cluster.admin_role_arns if arn != own}
    return listed | {UP: own} if config.github else listed


def github_role(config: Config, account_id: str, kind: Kind) -> str:
    """ARN of a role of GitHub's workflows; it can be computed before the role exists."""
    return f"arn:aws:iam::{account_id}:role/{github_roles.role_name(config.prefix, kind)}"


def check_deployer(config: Config, account_id: str, deployer: str) -> None:
    """Raise ConfigError when `deployer` could not reach the cluster that it is about to make, or when the stack's file still
    contains an example value. GitHub's preview role is accepted, because it only reads, through an entry of its own.
    """
    found = [] if account_id == names.EXAMPLE_ACCOUNT else list(examples.leftover_examples(config.document()))
    copy = config.backup.copy_to
    if copy is not None and copy.vault_arn.split(":")[3:5] == [config.region, account_id]:
        problem = "the vault is in this stack's own region and account, and would be lost with them"
        found.append(Refusal("backup.copy_to.vault_arn", problem, "name a vault of another region or account"))
    if deployer not in {*admins(config, account_id).values(), github_role(config, account_id, "preview")}:
        problem = f"{deployer} runs this program and is not listed, so it could not reach the cluster"
        fix = (
            f"add {deployer}, or run as a role that is listed"
            if ":role/" in deployer
            else "run as a role that is listed: a user cannot be"
        )
        found.append(Refusal("cluster.admin_role_arns", problem, fix))
    if found:
        raise settings_error(found, f"Pulumi.{config.stack}.yaml")
