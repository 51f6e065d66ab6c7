"""Combinations of settings that cannot work or must not be run. Each refusal names a key and what to write instead."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import NamedTuple, get_args

from infra.config import kubernetes
from infra.config.sections import SERVICES, Environment, StackSettings

STACK = re.compile(r"(?=.{1,20}$)[a-z](-?[a-z0-9])*")  # RDS refuses two dashes in a row, and one at the end
UP = "up"  # name of the access entry of GitHub's role, beside those of the listed roles
# The widest network that a list may contain: two /1 networks are the whole internet, and hardly anyone owns a /8.
WIDEST_PREFIX = 8


class Refusal(NamedTuple):
    """One impossible setting: where, why, and what to write instead."""

    key: str
    problem: str
    fix: str


def check(document: StackSettings, stack: str) -> Iterator[Refusal]:
    """Every rule that the document breaks, in the order of its sections."""
    if not STACK.fullmatch(stack):
        # Names start with teal-<stack>: a target group's has 32 characters, a bucket's and a database's take no others.
        problem = f"a stack cannot be called {stack}"
        yield Refusal(
            "environment",
            problem,
            "name it with at most 20 small letters, digits and single dashes, a letter first and no dash last",
        )
    if stack in get_args(Environment) and document.environment != stack:
        yield Refusal("environment", f"stack {stack} says it is {document.environment}", f"write {stack}")
    yield from _network(document)
    yield from _cluster(document)
    yield from _web(document)
    yield from _search(document)
    yield from _stores(document)
    yield from _service(document)
    yield from _load(document)
    yield from _promotion(document, stack)
    if document.environment == "prod":
        yield from _prod(document)


def open_to_all(cidr: str) -> bool:
    """Whether a network is too wide to belong to one owner. False for text that is no network, which another rule refuses."""
    try:
        return ipaddress.ip_network(cidr).prefixlen < WIDEST_PREFIX
    except ValueError:
        return False


def _load(document: StackSettings) -> Iterator[Refusal]:
    if document.load.workers and document.load.image is None:
        yield Refusal(
            "load.image",
            "there are workers and no image to run",
            "build loadtests/Dockerfile, push it, and write its name with the digest",
        )
    if document.load.mock_model and not document.load.workers:
        yield Refusal(
            "load.mock_model", "the mock model runs beside the load test's workers, and there are none", "set load.workers"
        )
    if document.load.mock_model and document.models.generation:
        yield Refusal("load.mock_model", "models.generation names another model for the same answers", "remove one of the two")


def _network(document: StackSettings) -> Iterator[Refusal]:
    network = document.network
    try:
        cidr = ipaddress.ip_network(network.cidr)
    except ValueError as error:
        yield Refusal("network.cidr", str(error), "write a network address such as 10.40.0.0/16")
        return
    # Pods take addresses of the private subnets: a /20 leaves about 1,000 for each of three zones.
    if not 16 <= cidr.prefixlen <= 20 or not cidr.is_private:
        yield Refusal("network.cidr", f"{cidr} is not a private network of /16 to /20", "write one such as 10.40.0.0/16")
    if cidr.overlaps(ipaddress.ip_network(SERVICES)):
        yield Refusal(
            "network.cidr", f"{cidr} overlaps {SERVICES}, which the cluster's Services have", "write one such as 10.40.0.0/16"
        )
    for key, values in (
        ("cluster.endpoint_cidrs", document.cluster.endpoint_cidrs),
        ("web.allowed_cidrs", document.web.allowed_cidrs),
    ):
        for value in values:
            try:
                ipaddress.ip_network(value)
            except ValueError as error:
                yield Refusal(key, str(error), "write network addresses such as 192.0.2.0/24")


def _cluster(document: StackSettings) -> Iterator[Refusal]:
    if said := kubernetes.unsupported_reason(document.cluster.version):
        yield Refusal("cluster.version", said, f"write {' or '.join(kubernetes.supported_versions())}")
    arns = document.cluster.admin_role_arns
    if not arns:
        yield Refusal(
            "cluster.admin_role_arns",
            "no person could reach the cluster, not even who runs the first `pulumi up`",
            "list the ARN of the role that you run it with (aws sts get-caller-identity names it)",
        )
    names = [*(role_name(arn) for arn in arns), UP]
    if len(set(names)) < len(names):
        yield Refusal(
            "cluster.admin_role_arns",
            f"two roles have one name ({UP} is GitHub's)",
            "list each role once, under names that differ",
        )


def role_name(arn: str) -> str:
    """The last part of a role's ARN, without its path."""
    return arn.rsplit("/", 1)[-1]


def _web(document: StackSettings) -> Iterator[Refusal]:
    web = document.web
    if (web.hosted_zone_id is None) == (web.certificate_arn is None):
        yield Refusal(
            "web.hosted_zone_id",
            "a certificate needs exactly one source, and hosted_zone_id and certificate_arn are both or neither set",
            "set hosted_zone_id for a certificate made here, or certificate_arn for one you have",
        )
    if web.auth == "none" and (web.public or document.environment != "dev"):
        yield Refusal("web.auth", "a public listener, staging and prod need keys", "write required")
    if not web.public and not web.allowed_cidrs:
        yield Refusal(
            "web.allowed_cidrs", "nobody could reach a listener that is not public", "list who may, or set public: true"
        )
    if any(map(open_to_all, web.allowed_cidrs)):
        yield Refusal("web.allowed_cidrs", "the whole internet is not a list", "set public: true instead")


def _search(document: StackSettings) -> Iterator[Refusal]:
    search = document.search
    if search.nodes == 2:
        yield Refusal("search.nodes", "two nodes cannot elect a master when one is lost", "write 1 (it may be down) or 3")
    if search.replicas >= search.nodes:
        yield Refusal(
            "search.replicas", f"{search.replicas} replicas need {search.replicas + 1} nodes", f"write {search.nodes - 1}"
        )
    if search.zones is not None and search.zones > min(document.network.zones, search.nodes):
        most = min(document.network.zones, search.nodes)
        yield Refusal("search.zones", f"network.zones and search.nodes allow {most}", f"write {most} or less")
    if search.snapshot.max_count < search.snapshot.min_count:
        yield Refusal("search.snapshot.max_count", "it is below min_count", f"write {search.snapshot.min_count} or more")


def _stores(document: StackSettings) -> Iterator[Refusal]:
    database, restore = document.database, document.database.restore_from
    if database.max_storage_gib < database.storage_gib:
        yield Refusal("database.max_storage_gib", "it is below storage_gib", f"write {database.storage_gib} or more")
    copy = document.backup.copy_to
    if copy is not None and copy.vault_arn.split(":")[3:5] != copy.key_arn.split(":")[3:5]:
        yield Refusal(
            "backup.copy_to.key_arn",
            "it is in another region or account than the vault",
            "write the key of the vault (aws backup describe-backup-vault names it)",
        )
    if restore is not None and (restore.snapshot is None) == (restore.source is None or restore.time is None):
        yield Refusal(
            "database.restore_from", "give a snapshot, or a source and a time", "write {snapshot: ID} or {source, time}"
        )


def _service(document: StackSettings) -> Iterator[Refusal]:
    service = document.service
    if service.max_replicas < service.min_replicas:
        yield Refusal("service.max_replicas", "it is below min_replicas", f"write {service.min_replicas} or more")
    if service.worker_max < service.worker_min:
        yield Refusal("service.worker_max", "it is below worker_min", f"write {service.worker_min} or more")


def _promotion(document: StackSettings, stack: str) -> Iterator[Refusal]:
    rules = document.promotion
    for key, other in (("promoted_from", rules.promoted_from), ("promoted_to", rules.promoted_to)):
        if other is not None and other.stack == stack:
            yield Refusal(f"promotion.{key}.stack", f"{stack} is this stack itself", "name another one, or remove the key")
    if rules.ci_workflow is not None and rules.promoted_from is None:
        yield Refusal("promotion.ci_workflow", "it is asked only of an image that comes from another stack", "add promoted_from")
    if rules.ci_workflow is not None and document.github is None:
        yield Refusal("promotion.ci_workflow", "no repository is named", "add the section teal:github")


def _prod(document: StackSettings) -> Iterator[Refusal]:
    for key, broken, problem, fix in (
        ("network.zones", document.network.zones < 3, "prod spans three zones", "write 3"),
        ("network.nat", document.network.nat != "per-az", "one zone's loss must not cut off the others", "write per-az"),
        ("search.nodes", document.search.nodes < 3, "one search node is down whenever its machine rotates", "write 3 or more"),
        ("search.replicas", document.search.replicas < 1, "a lost node would take passages with it", "write 1 or more"),
        ("cache.replicas", document.cache.replicas < 1, "one cache node has no standby", "write 1 or more"),
        ("database.multi_az", not document.database.multi_az, "the system of record needs a standby", "write true"),
        ("database.backup_days", document.database.backup_days < 7, "mistakes are found late", "write 7 or more"),
        ("load.mock_model", document.load.mock_model is not None, "users would get answers that say nothing", "remove it"),
        ("service.min_replicas", document.service.min_replicas < 2, "one pod is not a service", "write 2 or more"),
        (
            "cluster.endpoint_cidrs",
            any(map(open_to_all, document.cluster.endpoint_cidrs)),
            "the Kubernetes API would be open to the world",
            "list the networks of your operators and runners",
        ),
    ):
        if broken:
            yield Refusal(key, problem, fix)
