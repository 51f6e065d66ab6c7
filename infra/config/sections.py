"""The sections of a stack's configuration: names, types, units and ranges. Rules across sections are in `infra.config.rules`.

Every model is frozen and refuses unknown keys. Numbers carry their unit in their name.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from contract.platform import Environment as Environment
from contract.platform import ServiceDefaults as ServiceConfig
from contract.promotion import PromotionRules as PromotionConfig
from contract.steering import Steering as ReleasesConfig

Cidr = Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$")]
# The addresses of a cluster's Services. Without a choice EKS picks 10.100.0.0/16 or 172.20.0.0/16;
# it is fixed because it contains the resolver's address.
SERVICES = "172.20.0.0/16"
_FIELD = r"[\d*/,A-Za-z-]+"
CRON = rf"^{_FIELD}( {_FIELD}){{4}}$"  # minute, hour, day of month, month, day of week
ELASTIC_CRON = rf"^{_FIELD}( {_FIELD}){{2}}( [\d*/,?A-Za-z#-]+){{3,4}}$"  # with seconds first
RestoreTestOften = Literal["weekly", "monthly"]
RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$")]


class Section(BaseModel):
    """What all sections share: exact types, no unknown keys, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class NetworkConfig(Section):
    """The VPC. Its main cost is NAT gateways:
    one for all zones (single), or one in each zone (per-az), so that no zone depends on another.

    `egress_ports`: ports on the internet that the service's pods may call, beside those of `models` and of `alerts.otlp_endpoint`; an
    endpoint with OpenAI's interface or Sentry needs 443.
    """

    cidr: Cidr = "10.40.0.0/16"
    zones: int = Field(default=3, ge=2, le=3)  # an ALB and an EKS cluster each refuse fewer than two
    nat: Literal["single", "per-az"] = "single"
    egress_ports: tuple[Annotated[int, Field(ge=1, le=65_535)], ...] = ()
    flow_log_days: Literal[7, 14, 30, 90, 180, 365] = 30  # CloudWatch Logs takes listed numbers of days only


class ClusterConfig(Section):
    """EKS. `version` is a minor version that EKS offers; `endpoint_cidrs` may reach the Kubernetes API over the internet."""

    version: str = Field(default="1.35", pattern=r"^1\.\d{2}$")
    endpoint_cidrs: tuple[Cidr, ...] = ()  # empty: the API has no public address
    admin_role_arns: tuple[RoleArn, ...] = ()  # cluster administrators besides GitHub's `up` role; include your own
    log_days: Literal[7, 14, 30, 90, 180, 365] = 30


class WebConfig(Section):
    """The public side: domain name, certificate, allowed clients.
    Exactly one of `hosted_zone_id` and `certificate_arn` is set."""

    domain: str = Field(pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$")
    hosted_zone_id: str | None = Field(default=None, pattern=r"^Z[A-Z0-9]{5,31}$")
    certificate_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[a-f0-9-]{36}$")
    public: bool = True  # false: only `allowed_cidrs` reach the listener
    allowed_cidrs: tuple[Cidr, ...] = ()
    auth: Literal["required", "none"] = "required"
    waf_rate_per_5_minutes: int = Field(default=2_000, ge=10, le=2_000_000_000)  # WAF's own range for a rate rule, per address
    access_log_days: int = Field(default=90, ge=1, le=3650)


class SnapshotConfig(Section):
    """Search snapshots by SLM; `schedule` is Elasticsearch's cron with seconds, in UTC."""

    schedule: str = Field(default="0 0 */6 * * ?", pattern=ELASTIC_CRON)
    keep_days: int = Field(default=14, ge=1, le=365)
    min_count: int = Field(default=5, ge=1)
    max_count: int = Field(default=100, ge=1)


class SearchConfig(Section):
    """Elasticsearch: 1 node (down at each node rotation), or 3 and more. Heap is half of `memory_gib`."""

    # The client in the image supports 8.19 and 9.x; the tests run 8.19.
    version: str = Field(default="8.19.21", pattern=r"^8\.19\.\d+$")
    nodes: int = Field(default=3, ge=1, le=30)
    zones: int | None = Field(default=None, ge=1, le=3)  # unset: as many as the network has and the nodes fill
    storage_gib: int = Field(default=20, ge=4, le=16_384)  # gp3's largest volume is 16 TiB
    memory_gib: int = Field(default=4, ge=2, le=64)  # half of it is heap, whose pointers get larger above 31 GiB
    shards: int = Field(default=1, ge=1, le=64)
    replicas: int = Field(default=1, ge=0, le=5)
    refresh_interval: str = Field(default="1s", pattern=r"^(-1|\d+(ms|s|m))$")
    snapshot: SnapshotConfig = SnapshotConfig()
    kibana: bool = True


class CacheConfig(Section):
    """ElastiCache: one primary and `replicas`."""

    node_type: str = Field(default="cache.t4g.small", pattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$")
    replicas: int = Field(default=1, ge=0, le=5)
    apply_immediately: bool = False  # true in an incident: a change does not wait for Sunday's window


class RestoreConfig(Section):
    """Where a new database comes from: a snapshot's id, or an instance at a time (UTC, RFC 3339)."""

    snapshot: str | None = None
    source: str | None = None
    time: str | None = Field(default=None, pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    keep_source: bool = True  # set to false once the restored instance is proven; the first one may then be removed


class DatabaseConfig(Section):
    """RDS PostgreSQL: the system of record. `backup_days` is how far back in time it can be restored."""

    engine_version: str = Field(default="17", pattern=r"^1[5-9]$")  # the major alone: AWS moves the minor, and retires old ones
    instance_class: str = Field(default="db.t4g.medium", pattern=r"^db\.[tmrx]\d+[a-z]*\.(micro|small|medium|large|\d*xlarge)$")
    multi_az: bool = True
    storage_gib: int = Field(default=20, ge=20, le=65_536)  # gp3 at RDS: 20 GiB to 64 TiB
    max_storage_gib: int = Field(default=200, ge=20, le=65_536)
    backup_days: int = Field(default=14, ge=1, le=35)  # RDS keeps 35 days at most; 0 would turn point-in-time recovery off
    restore_from: RestoreConfig | None = None
    maintenance_schedule: str = Field(default="30 3 * * 0", pattern=CRON)  # five fields, UTC: ANALYZE, VACUUM, REINDEX
    # Set to true in an incident: a change of size does not wait for Sunday's window, and may restart it at once
    apply_immediately: bool = False
    major_upgrade: bool = False  # true while engine_version goes to the next major: RDS refuses it otherwise


class BackupCopyConfig(Section):
    """A vault in another region or account to which each recovery point of the database is copied. A person makes it and its key
    (docs/aws.md, Copies in a second region or account): this program can then neither change nor delete the copies."""

    vault_arn: str = Field(pattern=r"^arn:aws[a-z-]*:backup:[a-z0-9-]+:\d{12}:backup-vault:[A-Za-z0-9_-]{2,50}$")
    key_arn: str = Field(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[a-f0-9-]+$")  # the vault's key
    keep_days: int = Field(default=35, ge=7, le=36_500)  # AWS Backup keeps 100 years at most


class BackupConfig(Section):
    """AWS Backup of the database, beside RDS's own. `restore_test`: how often the newest recovery point is restored to see that it
    can be; each test runs an instance of the database's class for some hours."""

    restore_test: RestoreTestOften = "weekly"
    copy_to: BackupCopyConfig | None = None


class AlertsConfig(Section):
    """Receivers of alerts. Without an address the topic exists without a subscription. `otlp_endpoint`: the base address of a
    collector for traces, OTLP over HTTP; the pods may call its port."""

    email: str | None = Field(default=None, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
    otlp_endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s/]+(/\S*)?$")


class GithubConfig(Section):
    """The repository whose workflows may take the three roles, and its deployment environment for releases. The whole section may be missing."""

    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    environment: str = Field(pattern=r"^[\w-]+$")
    oidc_provider_arn: str | None = None  # an account has one provider for GitHub: give it when another stack made it


class ModelsConfig(Section):
    """Bedrock model ids. `generation` unset: answers are sentences of the sources. `embedding` unset: search by words alone, because the
    image holds no model; another embedding is another index (`teal release --reindex`).
    """

    generation: str | None = None
    # Those the service knows the dimensions of (app/models/embed_bedrock.py); an inference profile's id has its geography in front.
    embedding: str | None = Field(
        default=None, pattern=r"^([a-z-]+\.)?(amazon\.titan-embed-text-v2|cohere\.embed-(english|multilingual)-v3)(:\d+)?$"
    )


LOAD_CPU = 1.0  # of each Locust process, which uses one core
LOAD_GIB = 0.5


class LoadConfig(Section):
    """Load tests from inside the cluster: Locust's master and this many workers, one core each.
    With 0 workers nothing is created."""

    workers: int = Field(default=0, ge=0, le=1000)  # 1,000 users each (docs/load.md): 100,000 users need 100
    # The image of loadtests/Dockerfile, by its digest.
    image: str | None = Field(default=None, pattern=r"^[\w.-]+(:\d+)?/[\w./-]+@sha256:[0-9a-f]{64}$")
    # A mock of a language model beside them, which writes the answers in place of `models.generation`: its name says how it behaves, such as
    # mock,first=200ms,rate=50,tokens=60 (loadtests/mock_model.py). So a load test costs no model's tokens and meets no model's limits.
    mock_model: str | None = Field(
        default=None, pattern=r"^mock(,(first|rate|tokens|limited|failed|broken)=\d+(\.\d+)?(ms|%)?)*$"
    )


class StackSettings(Section):
    """All of namespace `teal` in a stack file."""

    environment: Environment
    network: NetworkConfig
    cluster: ClusterConfig
    web: WebConfig
    search: SearchConfig
    cache: CacheConfig
    database: DatabaseConfig
    backup: BackupConfig = BackupConfig()
    service: ServiceConfig
    alerts: AlertsConfig
    budget_usd: int = Field(ge=1)  # for a month; `teal cost --check`, `teal plan` and the workflows refuse a plan above it
    github: GithubConfig | None = None  # without it GitHub gets no roles, and a person deploys and releases
    models: ModelsConfig = ModelsConfig()
    load: LoadConfig = LoadConfig()
    releases: ReleasesConfig = ReleasesConfig()  # hooks and notifications; `teal release` reads them from the stack's file
    promotion: PromotionConfig = PromotionConfig()  # which stack an image must have passed; `teal release` reads it too
    expected_load: float | None = Field(default=None, gt=0)  # questions a second; `teal plan` refuses a plan that cannot carry it
