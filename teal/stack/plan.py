"""What should run on this machine and the files that say so. Nothing here writes or starts anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from teal.record import COLORS, Record
from teal.stack import caddy, elasticsearch, redis, supervisor, versions
from teal.stack.layout import Layout, StackState
from teal.stack.parts import (
    Binaries,
    Part,
    color_env,
    color_parts,
    config_of,
    elasticsearch_url,
    parts,
    redis_url,
    render,
    secrets_of,
    service_env,
    slots,
)
from teal.stack.released import configured, releases
from teal.stack.secrets import probe_secret


@dataclass(frozen=True, slots=True)
class Plan:
    """What should run: the choice that was made and the files that say so."""

    state: StackState
    parts: tuple[Part, ...]
    record: Record  # the active color's configuration is what this shell wants
    files: Mapping[Path, str]  # another text means a restart
    at_leisure: Mapping[Path, str]  # read at each start of a program that ends by itself: written without one
    secrets: Mapping[str, str]
    redis_url: str | None
    elasticsearch_url: str | None


def plan(layout: Layout, state: StackState, environ: Mapping[str, str], binaries: Binaries, record: Record) -> Plan:
    """Everything that will be written and run. Raises BadInput when Elasticsearch is wanted and there is no JDK."""
    own = state.search == "elasticsearch" and not environ.get("ELASTICSEARCH_URL")
    search_part = (
        elasticsearch.part(state.elasticsearch_home or elasticsearch.choose_home(layout, None), elasticsearch.find_java(environ))
        if own
        else None
    )
    password = redis.password(layout)
    programs = parts(layout, state, environ, binaries=binaries, elasticsearch=search_part)
    redis_at = redis_url(state, password, environ, binaries)
    env = service_env(layout, state, environ, redis_at)
    record = configured(record, config_of(env))
    folder = layout.conf / "parts"
    files = {folder / f"{part.name}.json": render(part, layout) for part in programs if not part.once}
    at_leisure = {folder / f"{part.name}.json": render(part, layout) for part in programs if part.once}
    running: list[Part] = []
    for color, release in releases(record):
        version = versions.find(layout, release.image)
        whole = color_env(color, release, secrets_of(env), code=version.code, probe_secret=probe_secret(layout, color))
        running += color_parts(layout, state, color, whole, version.python)
    files |= {folder / f"{part.name}.json": render(part, layout) for part in running}
    files[layout.conf / "supervisord.conf"] = supervisor.render(layout, (*programs, *slots(layout, state)))
    files[layout.conf / "Caddyfile"] = caddy.render(
        layout,
        state,
        caddy.loopback_hosts(),
        body_bytes=caddy.max_body_bytes(environ),
        probe_secrets={color: probe_secret(layout, color) for color in COLORS},
    )
    files[layout.conf / "redis.conf"] = redis.render(layout, state, password)
    return Plan(state, (*programs, *running), record, files, at_leisure, secrets_of(env), redis_at,
                elasticsearch_url(state, environ) if state.search == "elasticsearch" else None)  # fmt: skip
