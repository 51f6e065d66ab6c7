"""The environment of the service's processes:
the operator's settings, each part's variables, and the variables of the process's color."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from teal.laptop.parts import registry
from teal.laptop.parts.part import PartContext
from teal.laptop.program import NETWORK, PLAIN, Program, shell_env
from teal.laptop.state import LaptopState
from teal.record.model import COLORS, Color, ColorState

SERVICE = (*PLAIN, *NETWORK, "DATABASE_URL", "REDIS_URL", "ELASTICSEARCH_URL", "SENTRY_DSN",
           "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS")  # fmt: skip
# Never kept in the record of a release: each process gets the current values.
# Addresses are here because they may contain passwords.
SECRETS = frozenset({"DATABASE_URL", "TEAL_DATABASE_URL", "REDIS_URL", "TEAL_REDIS_URL", "ELASTICSEARCH_URL", "TEAL_ELASTICSEARCH_URL",
                     "TEAL_ELASTICSEARCH_API_KEY", "TEAL_ELASTICSEARCH_PASSWORD", "TEAL_OPENAI_API_KEY", "SENTRY_DSN",
                     "TEAL_SENTRY_DSN", "OTEL_EXPORTER_OTLP_HEADERS", "TEAL_OTLP_HEADERS", "TEAL_PROBE_SECRET", "TEAL_METRICS_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
                     *(name for name in NETWORK if "PROXY" in name.upper())})  # fmt: skip
# These are set for each process by its place, not by the release's configuration.
IDENTITY = (
    "TEAL_RELEASE_ID",
    "TEAL_COLOR",
    "TEAL_SLOT",
    "TEAL_INDEX",
    "TEAL_PROBE_SECRET",
    "TEAL_METRICS_PEERS",
    "TEAL_METRICS_TOKEN",
)
DEFAULT_INDEX = "teal"  # as in app/settings.py


def service_env(place: PartContext) -> dict[str, str]:
    """Settings that all processes of the service share (`app/settings.py` reads them); those of a color are not among them."""
    layout, environ = place.layout, place.environ
    bedrock = "bedrock" in (environ.get("TEAL_EMBEDDING"), environ.get("TEAL_GENERATION"))
    prefixes = ("TEAL_", "AWS_") if bedrock else ("TEAL_",)
    given = {name: value for name, value in shell_env(environ, SERVICE, prefixes).items() if name not in IDENTITY}
    env = {"TEAL_ENVIRONMENT": "laptop"} | given | {
        "TEAL_STATE_DIR": str(layout.data),
        "TEAL_MODEL_DIR": str(layout.models),
        "TEAL_BACKUP_DIR": str(layout.backups),
        "TEAL_BACKUP_KEY": str(layout.backup_key),
        "TEAL_LOG_DIR": str(layout.logs),
        "TEAL_SEARCH": place.state.search,
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",  # modules in the current folder must not hide the version's code
    }  # fmt: skip
    for part in registry.PARTS:
        env |= part.service_env(place)
    return env


def config_of(env: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that the record keeps: everything that is not secret."""
    return {name: value for name, value in env.items() if name not in SECRETS}


def secrets_of(env: Mapping[str, str]) -> dict[str, str]:
    """The secret part of an environment, which the record never keeps."""
    return {name: value for name, value in env.items() if name in SECRETS}


def color_env(
    color: Color, release: ColorState, secrets: Mapping[str, str], *, code: Path, probe_secret: str, metrics_token: str
) -> dict[str, str]:
    """The whole environment of a color's processes:
    the release's configuration, the current secrets, and their color and release."""
    return {
        **release.config,
        **secrets,
        "TEAL_RELEASE_ID": release.release_id,
        "TEAL_COLOR": color,
        "TEAL_INDEX": release.index,
        "TEAL_PROBE_SECRET": probe_secret,
        "TEAL_METRICS_TOKEN": metrics_token,
        "PYTHONPATH": str(code),
    }


def color_programs(place: PartContext, color: Color, env: Mapping[str, str], python: str) -> tuple[Program, ...]:
    """Every program of one color, in starting order."""
    env = {**env, "TEAL_METRICS_PEERS": ",".join(metrics_addresses(place.state))}
    return tuple(program for part in registry.PARTS for program in part.color_programs(place, color, env, python))


def metrics_addresses(state: LaptopState) -> tuple[str, ...]:
    """Where the app processes and workers of both colors serve their metrics, running or not."""
    ports = (port for color in COLORS for port in (*state.ports.apps(color), state.ports.worker(color)))
    return tuple(f"http://127.0.0.1:{port}/metrics" for port in ports)


def declared_programs(place: PartContext) -> tuple[Program, ...]:
    """The programs of both colors. supervisord must know them before it starts; each deploy writes what they run."""
    return tuple(program for color in COLORS for program in color_programs(place, color, {}, sys.executable))
