"""Configuration of the service: the only reader of the environment. `docs/configuration.md` is generated from it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.providers import EmbeddingProviderName, GenerationProviderName, SearchEngineName, SnapshotStoreName
from contract.bodies import DOCUMENT_BYTES

QuerySample = Literal["off", "hashes", "texts"]


def _env(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class Settings(BaseSettings):
    """Every setting, with its default and unit. Its environment variable is `TEAL_` +
    field, unless the field names another one."""

    model_config = SettingsConfigDict(
        env_prefix="TEAL_", frozen=True, extra="forbid", populate_by_name=True, env_ignore_empty=True
    )

    environment: Literal["laptop", "dev", "staging", "prod"] = Field(
        "laptop", description="Which environment this process belongs to; appears in logs and Sentry."
    )
    release_id: str = Field("dev", description="Release this process belongs to; part of every cache key and of every job.")
    color: Literal["blue", "green"] = Field("blue", description="Color slot this process runs in.")
    slot: str = Field("0", description="Stable name of this process within its color; the worker's DBOS executor id.")
    state_dir: Path = Field(Path(".teal/data"), description="Folder of the SQLite files when DATABASE_URL is not set.")

    database_url: SecretStr | None = Field(
        None,
        validation_alias=_env("DATABASE_URL", "TEAL_DATABASE_URL"),
        description="Catalog and jobs database, `postgresql://...`. Unset: SQLite in TEAL_STATE_DIR.",
    )
    redis_url: SecretStr | None = Field(
        None,
        validation_alias=_env("REDIS_URL", "TEAL_REDIS_URL"),
        description="Redis for shared caches, limits and sessions. Unset: each process caches alone.",
    )

    search: SearchEngineName = Field("embedded", description="Search engine.")
    index: str = Field(
        "teal",
        pattern=r"^[a-z][a-z0-9-]{0,60}$",
        description="Alias that is read and written; the index behind it carries a number.",
    )
    elasticsearch_url: str = Field(
        "http://127.0.0.1:9200",
        validation_alias=_env("ELASTICSEARCH_URL", "TEAL_ELASTICSEARCH_URL"),
        description="Elasticsearch address.",
    )
    elasticsearch_api_key: SecretStr | None = Field(None, description="Elasticsearch API key.")
    elasticsearch_username: str | None = Field(None, description="Elasticsearch user, when no API key is used.")
    elasticsearch_password: SecretStr | None = Field(None, description="Its password.")
    elasticsearch_ca: Path | None = Field(None, description="CA certificate file of Elasticsearch.")
    elasticsearch_shards: int = Field(
        1, ge=1, le=64, description="Primary shards of a new index. One shard serves tens of GB; more only beyond that."
    )
    elasticsearch_replicas: int = Field(
        0, ge=0, le=5, description="Replicas of each shard: 0 for one node, 1 or more in production."
    )
    elasticsearch_refresh_interval: str = Field(
        "1s", pattern=r"^(-1|\d+(ms|s|m))$", description="How often new passages become searchable without an explicit refresh."
    )
    elasticsearch_quantization: Literal["none", "int8", "int4", "bbq"] = Field(
        "int8",
        description="HNSW vector storage: int8 is a quarter of the memory of float; bbq, a bit for each of at least 64 dimensions, "
        "a quarter of that. Changed by `teal release --reindex`.",
    )
    search_timeout_seconds: float = Field(
        2.0, gt=0, description="Deadline of one search request to the engine, retries included."
    )

    embedding: EmbeddingProviderName = Field("local", description="Embedding provider; `none` searches by words alone.")
    embedding_model: str = Field(
        "all-minilm-l6-v2-q", description="Embedding model. Local: a folder of TEAL_MODEL_DIR. Bedrock: a model id."
    )
    model_dir: Path = Field(Path(".teal/models"), description="Folder with one folder per local model.")
    embedding_threads: int = Field(
        1, ge=1, le=64, description="CPU threads of one call of a local model: the embedding model's, the cross-encoder's."
    )

    cross_encoder: Literal["local", "none"] = Field(
        "local",
        description="The model that says whether a sentence answers an English question where the words alone do not, for quoted answers: the "
        "one in TEAL_MODEL_DIR. Used only with TEAL_EMBEDDING=local and TEAL_GENERATION=extractive.",
    )

    generation: GenerationProviderName = Field(
        "extractive",
        description="Who writes answers: sentences of the sources themselves (no model), an OpenAI-compatible endpoint, or Bedrock.",
    )
    generation_model: str = Field("", description="Model name or Bedrock model id.")
    openai_base_url: str = Field("", description="Address of an OpenAI-compatible endpoint, up to and with `/v1`.")
    openai_api_key: SecretStr | None = Field(None, description="Its key.")
    generation_timeout_seconds: float = Field(60.0, gt=0, description="Deadline of one generated answer.")
    max_answer_tokens: int = Field(600, ge=16, le=8192, description="Longest generated answer, in tokens.")
    aws_region: str | None = Field(None, validation_alias=_env("AWS_REGION", "TEAL_AWS_REGION"), description="Region of Bedrock.")

    max_document_bytes: int = Field(DOCUMENT_BYTES, ge=1024, description="Largest document or upload, in bytes.")
    max_question_characters: int = Field(2_000, ge=16, description="Longest question or query, in characters.")
    max_top_k: int = Field(100, ge=1, le=1000, description="Most passages one request may ask for.")
    candidates: int = Field(
        100, ge=100, le=1000, description="Candidates each retriever gives to fusion: fusing short lists loses recall."
    )
    passage_tokens: int = Field(180, ge=32, le=400, description="Target length of a passage in tokens (words and punctuation).")
    passage_overlap_tokens: int = Field(30, ge=0, le=200, description="Tokens repeated from the end of the previous passage.")

    auth: bool = Field(True, description="Require a key. Refused as false in staging and prod.")
    rate_limit_per_second: int = Field(200, ge=1, description="Requests each key may send per second, over all processes.")
    cors_origins: str = Field(
        "",
        pattern=r"^$|^(\*|https?://[^\s,/]+(\s*,\s*https?://[^\s,/]+)*)$",
        description="Sites whose pages may call the API with a key of their own, comma-separated, such as `https://wiki.example.org`; `*` for "
        "every site. Unset: none.",
    )
    session_hours: int = Field(12, ge=1, le=720, description="How long the web page stays signed in.")
    cache_seconds: int = Field(
        300, ge=0, description="Longest life of a cached search or answer; a changed index drops it sooner. 0 turns caching off."
    )
    cache_bytes: int = Field(
        32_000_000, ge=0, description="Room of the in-process cache tier, in bytes of cached answers. 0 turns caching off."
    )

    worker_concurrency: int = Field(8, ge=1, le=64, description="Documents one worker processes at the same time.")
    ingest_attempts: int = Field(
        3, ge=1, le=20, description="Tries of a document that fails or kills its worker, before it is marked failed."
    )

    backup_store: SnapshotStoreName | None = Field(
        None,
        description="Where snapshots are kept: in a folder, in Elasticsearch's repository (search alone, the catalog's database has its own "
        "service), or in a bucket. Unset: `folder` on a laptop, `elasticsearch` elsewhere.",
    )
    backup_bucket: str = Field("", description="Bucket of the snapshots, for TEAL_BACKUP_STORE=s3.")
    backup_dir: Path = Field(
        Path(".teal/backups"), description="Folder of the snapshots, or through which they pass on their way to a bucket."
    )
    backup_key: Path = Field(
        Path(".teal/keys/backup.key"),
        description="File with the age key that snapshots are encrypted to; made with the first one. Keep a copy elsewhere.",
    )
    backup_hours: float = Field(
        24.0,
        ge=0,
        description="Hours between the snapshots that the worker takes, and verifies by restoring them. 0: it takes none.",
    )
    backup_keep: int = Field(7, ge=1, le=365, description="Snapshots kept; the newest that was verified is never removed.")
    snapshot_repository: str = Field(
        "teal",
        pattern=r"^[a-z][a-z0-9-]{0,60}$",
        description="Elasticsearch's snapshot repository; made outside AWS when it is missing.",
    )

    probe_secret: SecretStr | None = Field(
        None,
        description="Who sends it in `X-Teal-Probe` may bypass the caches with `X-Teal-Bypass-Cache: 1`: the probes of a release. "
        "Unset: nobody may.",
    )

    query_sample: QuerySample | None = Field(
        None,
        description="What is recorded of a small random sample of users' searches and questions, which a release can replay (docs/releases.md): "
        "nothing, a keyed hash and the length of each text, or the encrypted texts too. The key, `query-sample.key`, is made beside TEAL_BACKUP_KEY. "
        "Texts are deleted when this is set back. Unset: `hashes` on a laptop, `off` elsewhere, where pods have no place for a key.",
    )

    log_dir: Path | None = Field(None, description="Folder of rotating JSON log files. Unset: standard output.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe level logged.")
    sentry_dsn: SecretStr | None = Field(
        None, validation_alias=_env("SENTRY_DSN", "TEAL_SENTRY_DSN"), description="Sends errors to Sentry when set."
    )
    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://",
        validation_alias=_env("OTEL_EXPORTER_OTLP_ENDPOINT", "TEAL_OTLP_ENDPOINT"),
        description="Where traces are sent: the base address of an OTLP/HTTP collector, such as `http://127.0.0.1:4318`. "
        "Unset: nothing is traced.",
    )
    otlp_headers: SecretStr | None = Field(
        None,
        validation_alias=_env("OTEL_EXPORTER_OTLP_HEADERS", "TEAL_OTLP_HEADERS"),
        description="Headers for it, `name=value,name=value`: most collectors want a token.",
    )
    trace_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of requests that are traced, when traces are sent; recording all costs a busy process.",
    )
    metrics_token: SecretStr | None = Field(
        None,
        description="Who sends it as a bearer token may read /metrics. `teal up` makes one; unset: everybody who reaches the process's own port.",
    )
    metrics_peers: str = Field(
        "",
        description="Addresses of every process's /metrics, comma-separated, that the signals page reads. `teal up` sets it; "
        "unset: the page shows this process alone.",
    )

    def sqlalchemy_url(self) -> str:
        """Catalog URL for SQLAlchemy: psycopg 3 for PostgreSQL, or `catalog.db` in the state folder."""
        if self.database_url is None:
            return f"sqlite:///{self.state_dir.resolve() / 'catalog.db'}"
        url = self.database_url.get_secret_value()
        scheme, _, rest = url.partition("://")
        return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else url

    def sampled(self) -> QuerySample:
        """What is recorded of the sample of users' queries, with the default of the environment."""
        return self.query_sample or ("hashes" if self.environment == "laptop" else "off")

    def query_sample_key(self) -> Path:
        """File of the key with which sampled queries are hashed and encrypted."""
        return self.backup_key.with_name("query-sample.key")

    def jobs_url(self) -> str:
        """DBOS system database: its own SQLite file beside the catalog, or the same PostgreSQL database (schema `dbos`)."""
        return self.sqlalchemy_url() if self.database_url else f"sqlite:///{self.state_dir.resolve() / 'dbos.db'}"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings, read from the environment at the first call."""
    return Settings()
