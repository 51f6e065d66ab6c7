"""One environment on AWS as a place where releases happen."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from teal.adapters import AWS as AWS_PLACE
from teal.adapters import adapter
from teal.aws import kubernetes, stack_file
from teal.aws import platform as outputs
from teal.aws.images import RegistryImages
from teal.aws.jobs import JobSettings
from teal.aws.names import StateNames
from teal.aws.platform import Platform
from teal.aws.promotion import promotion_of
from teal.aws.release_key import ProbeHeaders
from teal.aws.runtime import ServiceProgram
from teal.aws.session import translate_aws_errors
from teal.aws.tools import AWS, PULUMI
from teal.aws.traffic import client_config as traffic_config
from teal.client.probe import read_golden_questions
from teal.errors import BadInput
from teal.metrics.counters import SLOW_SECONDS
from teal.metrics.prometheus import SigV4
from teal.ports.runtime import Runtime
from teal.ports.steering import read_steering
from teal.ports.target import ReleaseRules, Target
from teal.record.model import COLORS, Color, ColorState
from teal.record.s3 import S3RecordStore
from teal.record.s3 import client_config as store_config

if TYPE_CHECKING:
    import boto3

_PROGRAM: Final = Path("infra/service")
_PASSED: Final = ("PATH", "HOME", "VIRTUAL_ENV", "TMPDIR", "LANG", "SSL_CERT_FILE", "HTTPS_PROXY", "NO_PROXY")
_PREFIXES: Final = ("AWS_", "PULUMI_", "GITHUB_", "XDG_")


def aws(stack: str, environ: Mapping[str, str]) -> Target:
    """Open the target `stack`: asks Pulumi for the platform's outputs, and AWS for the account.
    Raises BadInput when either is missing.

    `environ`: AWS credentials as boto3 reads them; PULUMI_BACKEND_URL unless the state is where `teal bootstrap` puts it; TEAL_KEY: an
    API key for probes (else one is made); TEAL_GOLDEN: a file of questions about the documents that are there (teal/release/golden.jsonl
    has the form); TEAL_ROOT: the checkout, when it is not the current folder.
    """
    import boto3

    root = Path(environ.get("TEAL_ROOT", ".")).resolve()
    file = stack_file.read_stack_file(root, stack)
    session = boto3.Session(region_name=file.region)
    with translate_aws_errors("Asking AWS who this is"):
        # The short time limits of the record's client,
        # because every rollback waits for this call and botocore's defaults are minutes.
        account = session.client("sts", config=store_config()).get_caller_identity()["Account"]
    names = StateNames(stack, account, file.region)
    pulumi = {"PULUMI_BACKEND_URL": names.backend_url, **_passed(environ)}
    found = outputs.read_platform(
        stack, root, pulumi | {key: environ[key] for key in (outputs.OUTPUTS_VARIABLE,) if key in environ}
    )
    if found.account_id != account:
        raise BadInput(f"These credentials are for account {account}, the platform is in {found.account_id}",
                       where=f"stack {stack}", next="aws sts get-caller-identity")  # fmt: skip
    service = ServiceProgram(
        program=root / _PROGRAM,
        home=root / ".teal" / "service",
        virtualenv=Path(sys.prefix),  # this interpreter has Pulumi's packages, or nothing works
        secrets_provider=names.secrets_provider("colors"),
        env=pulumi,
        tools=(PULUMI, AWS),
    )
    target = assemble(stack, found, session, service, environ.get("TEAL_KEY"))
    target = replace(
        target,
        steering=lambda: read_steering(file.path),
        promotion=lambda: promotion_of(file, account, partial(_s3, session), environ),
    )
    if given := environ.get("TEAL_GOLDEN"):
        read_golden_questions(Path(given))  # a bad file is refused here, not after the new color was made
        return replace(target, golden=Path(given))
    return target


def assemble(stack: str, platform: Platform, session: boto3.Session, service: ServiceProgram, key: str | None,
             client: Callable[..., Any] | None = None) -> Target:  # fmt: skip
    """The target from the platform's outputs. `client` replaces `session.client`; no request is sent yet."""
    connect = client or session.client
    secrets = connect("secretsmanager")

    @cache  # every probe asks for its color's secret; AWS is asked once
    def secret(color: Color) -> str:
        arn = platform.probe_secret_arns[color]
        with translate_aws_errors("GetSecretValue", arn):
            return str(secrets.get_secret_value(SecretId=arn)["SecretString"])

    store = S3RecordStore(connect("s3", config=store_config()), platform.release_bucket)
    balancer = connect("elbv2", config=traffic_config())
    access = platform.cluster
    runtime: Runtime = adapter("runtime", AWS_PLACE.runtime)(
        stack=stack,
        service=service,
        platform=platform.document,
        cluster=kubernetes.connect_cluster(session, platform.region, access.name, access.endpoint, access.ca_data),
        elbv2=connect("elbv2"),  # polled for minutes, so boto3's own retries and time limits will do
        target_group_arns=platform.target_group_arns,
        jobs={color: job_settings(platform, color) for color in COLORS},
    )

    def ask(state: ColorState, command: str) -> list[dict[str, Any]]:
        idle: Color = "green" if store.read()[0].active == "blue" else "blue"
        return runtime.admin(state, idle, command)

    return Target(
        name=stack,
        store=store,
        traffic=adapter("traffic", AWS_PLACE.traffic)(
            balancer, platform.rule_arn, platform.target_group_arns, platform.url, platform.probe_header, secret
        ),
        runtime=runtime,
        metrics=adapter("metrics", AWS_PLACE.metrics)(
            platform.prometheus_query_url,
            {color: f'namespace="{platform.namespaces[color]}"' for color in COLORS},
            SigV4(session.get_credentials(), "aps", platform.region),  # type: ignore[arg-type]
        ),
        images=RegistryImages(platform, connect("ecr"), secrets, ask),
        evidence_url=lambda key: f"s3://{platform.release_bucket}/{key}",
        rules=ReleaseRules(least_processes=platform.service_defaults.min_replicas, slo_seconds=SLOW_SECONDS),
        probe_headers=ProbeHeaders(lambda: store.read()[0], runtime.admin, key),
    )


def _s3(session: boto3.Session, region: str) -> Any:
    return session.client("s3", region_name=region, config=store_config())


def job_settings(platform: Platform, color: Color) -> JobSettings:
    """The settings of a color's admin Jobs."""
    defaults = platform.service_defaults
    return JobSettings(namespace=platform.namespaces[color], environment=platform.environment, region=platform.region,
                       secret_names=tuple(platform.app_secrets), cpu=defaults.cpu, memory_mib=defaults.memory_mib,
                       operator_namespace=platform.operator_namespace)  # fmt: skip


def _passed(environ: Mapping[str, str]) -> dict[str, str]:
    """This shell's variables for Pulumi's engine and the color's program: credentials and paths, no setting of the service."""
    return {name: value for name, value in environ.items() if name in _PASSED or name.startswith(_PREFIXES)}
