"""Checks whether an account can hold a stack: quotas, offered versions, models.
Checked before anything is made, so that `up` does not fail half way.

What a stack needs is data of `python -m infra.cost STACK --json` (infra/cost/needs.py). A check for which these credentials lack
the rights is reported and passes: its result is unknown until `pulumi up`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from teal.aws.names import STACK_TAG
from teal.aws.session import Aws
from teal.events import CheckRow

# Codes of quotas: L-1216C47A "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", in vCPU; L-0263D0A3 "EC2-VPC Elastic IPs". The
# codes are those of a public script (gist cardil/a032b5021ae31bcd616c834fd1e39e82) and of issue 18.
VCPU_QUOTA: Final = "L-1216C47A"
ADDRESS_QUOTA: Final = "L-0263D0A3"
_STANDARD: Final = frozenset("acdhimrtz")  # first letters of the families that the quota counts
_OFFERED: Final = "STANDARD_SUPPORT"

Check = Callable[[Aws, str, Mapping[str, Any]], Iterator[CheckRow]]


def check_fit(aws: Aws, stack: str, needs: Mapping[str, Any], checks: Mapping[str, Check] | None = None) -> Iterator[CheckRow]:
    """The rows of every check, at least one each; a row that does not fit names the command that mends it."""
    for name, check in (CHECKS if checks is None else checks).items():
        try:
            yield from check(aws, stack, needs)
        except (ClientError, BotoCoreError) as error:
            yield CheckRow(name, True, f"unknown, AWS did not say: {_short(error)}")


def _machines(aws: Aws, stack: str, needs: Mapping[str, Any]) -> Iterator[CheckRow]:
    """The vCPU quota. It counts running machines;
    this stack's own are left out of the count, because they are part of what the stack needs."""
    quota = _quota(aws, "ec2", VCPU_QUOTA)
    used = 0
    pages = aws.connect("ec2").get_paginator("describe_instances").paginate(
        Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    )  # fmt: skip
    for machine in (one for page in pages for group in page["Reservations"] for one in group["Instances"]):
        cores = machine.get("CpuOptions") or {}
        ours = _tags(machine).get("aws:eks:cluster-name") == f"teal-{stack}"
        if machine["InstanceType"][0] in _STANDARD and not ours and not machine.get("InstanceLifecycle"):
            used += cores.get("CoreCount", 0) * cores.get("ThreadsPerCore", 1)
    wanted = needs["vcpus_in_release"]
    said = f"{wanted} vCPU while a release runs ({needs['vcpus']} before and after), {quota - used:g} of {quota:g} are free"
    yield CheckRow("machines", used + wanted <= quota, said, _ask_for("ec2", VCPU_QUOTA, used + wanted))


def _addresses(aws: Aws, stack: str, needs: Mapping[str, Any]) -> Iterator[CheckRow]:
    quota = _quota(aws, "ec2", ADDRESS_QUOTA)
    held = aws.connect("ec2").describe_addresses()["Addresses"]
    used = sum(_tags(one).get(STACK_TAG) != stack for one in held)
    wanted = needs["elastic_ips"]
    said = f"{wanted} public addresses of NAT gateways, {quota - used:g} of {quota:g} are free"
    yield CheckRow("addresses", used + wanted <= quota, said, _ask_for("ec2", ADDRESS_QUOTA, used + wanted))


def _kubernetes(aws: Aws, stack: str, needs: Mapping[str, Any]) -> Iterator[CheckRow]:
    version = needs["kubernetes"]
    found = aws.eks.describe_cluster_versions(clusterVersions=[version])["clusterVersions"]
    state = found[0].get("versionStatus", "UNSUPPORTED") if found else "not offered"
    end = found[0].get("endOfStandardSupportDate") if found else None
    said = f"Kubernetes {version}: {state.lower().replace('_', ' ')}{f', until {end:%Y-%m-%d}' if end else ''}"
    yield CheckRow("kubernetes", state == _OFFERED, said, "another teal:cluster.version (runbooks/kubernetes-upgrade.md)")


def _addons(aws: Aws, stack: str, needs: Mapping[str, Any]) -> Iterator[CheckRow]:
    for name, version in sorted(needs["addons"].items()):
        answer = aws.eks.describe_addon_versions(addonName=name, kubernetesVersion=needs["kubernetes"])
        offered = [one["addonVersion"] for addon in answer["addons"] for one in addon["addonVersions"]]
        newest = f"the newest is {offered[0]}" if offered else "no version is"
        wrong = "" if version in offered else f" is not offered for Kubernetes {needs['kubernetes']}; {newest}"
        said = f"{name} {version}{wrong}"
        yield CheckRow("add-ons", version in offered, said, "a version that is offered, in infra/platform/cluster/addons.py")


def _engines(aws: Aws, stack: str, needs: Mapping[str, Any]) -> Iterator[CheckRow]:
    for engine, version in sorted(needs["engines"].items()):
        if engine == "postgres":
            kind = needs["instance_class"]
            options = aws.rds.describe_orderable_db_instance_options(
                Engine=engine, EngineVersion=_newest(aws, version), DBInstanceClass=kind, MaxRecords=20
            )["OrderableDBInstanceOptions"]  # fmt: skip
            said = f"PostgreSQL {version} on {kind}{'' if options else ' is not offered here'}"
            yield CheckRow("engines", bool(options), said, "another teal:database.engine_version or instance_class")
        else:
            found = aws.connect("elasticache").describe_cache_engine_versions(Engine=engine)["CacheEngineVersions"]
            offered = sorted({one["EngineVersion"] for one in found})
            fits = any(one == version or one.startswith(f"{version}.") for one in offered)
            wrong = "" if fits else f" is not offered; offered: {', '.join(offered) or 'none'}"
            said = f"{engine} {version}{wrong}"
            yield CheckRow("engines", fits, said, "ENGINE_VERSION in infra/platform/stores/cache.py")


def _newest(aws: Aws, major: str) -> str:
    """The newest full version of a major one:
    RDS lists the minor versions of a major one, and its orderable instances only by full version."""
    found = aws.rds.describe_db_engine_versions(Engine="postgres", EngineVersion=major)["DBEngineVersions"]
    return found[-1]["EngineVersion"] if found else major


def _models(aws: Aws, stack: str, needs: Mapping[str, Any]) -> Iterator[CheckRow]:
    bedrock = aws.connect("bedrock")
    for model in needs["models"]:
        plain = model.split(".", 1)[1] if model.count(".") > 1 else model  # an inference profile's id begins with its geography
        try:
            found = bedrock.get_foundation_model_availability(modelId=plain)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("ResourceNotFoundException", "ValidationException"):
                raise
            yield CheckRow("models", False, f"{model} is not in {aws.region}", "another teal:models, or another region")
            continue
        refused = [
            word
            for word, good in (
                ("regionAvailability", "AVAILABLE"), ("authorizationStatus", "AUTHORIZED"), ("entitlementAvailability", "AVAILABLE"),
            )
            if found.get(word) != good
        ]  # fmt: skip
        agreed = (found.get("agreementAvailability") or {}).get("status") == "AVAILABLE"
        refused += [] if agreed else ["agreementAvailability"]
        said = f"{model}: not as it should be: {', '.join(refused)}" if refused else f"{model} may be called"
        yield CheckRow("models", not refused, said, f"open {plain} in Bedrock's model catalog of {aws.region} and ask for access")


def _tokens(aws: Aws, stack: str, needs: Mapping[str, Any]) -> Iterator[CheckRow]:
    """The quota of tokens. Bedrock has a quota code for each model, so the quota is found by the words of the model's name."""
    wanted = needs["embed_tokens_per_minute"]
    words = [word for word in needs["models"][0].split(":")[0].replace(".", "-").split("-") if len(word) > 2] if wanted else []
    if not words:
        return
    best: tuple[int, Mapping[str, Any]] | None = None
    for page in aws.connect("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode="bedrock"):
        for quota in page["Quotas"]:
            name = quota["QuotaName"].lower()
            hits = sum(word in name for word in words)
            if "tokens per minute" in name and hits >= 2 and (best is None or hits > best[0]):
                best = hits, quota
    if best is None:
        yield CheckRow("tokens", True, f"unknown: no quota of tokens a minute names {needs['models'][0]}")
        return
    quota = best[1]
    said = f"{wanted:,} tokens a minute for questions, the quota is {quota['Value']:,.0f} ({quota['QuotaName']})"
    yield CheckRow("tokens", wanted <= quota["Value"], said, _ask_for("bedrock", quota["QuotaCode"], wanted))


CHECKS: Final[Mapping[str, Check]] = {
    "machines": _machines,
    "addresses": _addresses,
    "kubernetes": _kubernetes,
    "add-ons": _addons,
    "engines": _engines,
    "models": _models,
    "tokens": _tokens,
}


def _quota(aws: Aws, service: str, code: str) -> float:
    value: float = aws.connect("service-quotas").get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]["Value"]
    return value


def _ask_for(service: str, code: str, value: float) -> str:
    return f"aws service-quotas request-service-quota-increase --service-code {service} --quota-code {code} --desired-value {value:g}"


def _tags(thing: Mapping[str, Any]) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in thing.get("Tags") or ()}


def _short(error: Exception) -> str:
    return error.response["Error"].get("Code", "") if isinstance(error, ClientError) else " ".join(str(error).split())[:120]
