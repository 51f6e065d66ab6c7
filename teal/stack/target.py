"""The laptop as a place to release to: Caddy's shares, supervisord's processes, versions in `.teal/versions`, the record in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from teal.errors import BadInput, StackDown
from teal.metrics.scrape import ScrapeMetrics
from teal.record import COLORS, Color
from teal.record_file import FileStore
from teal.release.target import Image, Rules, Target
from teal.runtime.supervisor import SupervisorRuntime
from teal.stack import redis, supervisor, versions
from teal.stack.layout import Layout, StackState, load
from teal.stack.parts import DEFAULT_INDEX, config_of, find_binaries, redis_url, service_env
from teal.stack.released import open_store
from teal.stack.secrets import probe_secret
from teal.stack.versions import Version
from teal.traffic.caddy import CaddyTraffic
from teal.traffic.port import PROBE_HEADER, Entry

RULES_VARIABLE = "TEAL_RULES"  # JSON: other values for some of the rules below
RULES = Rules(
    analysis_seconds=10.0,  # ten looks at counters that are seconds old at most
    minimum_samples=100,
    slo_seconds=1.0,
    hold_seconds=60.0,  # long enough to look at the page and type `teal rollback`
    lease_seconds=30.0,  # nothing here is silent for longer than a few seconds
    fence_seconds=1.0,  # a rename is not in flight; what was prepared before a rollback is unlinked by it
    ready_seconds=90.0,
    jobs_seconds=60.0,
    ingest_seconds=60.0,
    paused_seconds=300.0,
    snapshot_hours=50.0,  # two days: a laptop sleeps, and takes its snapshot when it wakes
    poll_seconds=1.0,
    probes_per_poll=20,
)


class VersionImages:
    """Images as folders of unpacked wheels."""

    def __init__(self, layout: Layout, environ: Mapping[str, str]) -> None:
        self._layout = layout
        self._environ = environ

    def build(self, path: Path, label: str | None) -> Image:
        made = versions.build(self._layout, path.resolve(), label or "")
        record, _ = open_store(self._layout).read()
        versions.prune(self._layout, {made.id, *(state.image for color in COLORS if (state := record.color(color)))})
        return _image(made, label)

    def known(self, id: str) -> Image:
        return _image(versions.use(self._layout, id), None)

    def config(self) -> Mapping[str, str]:
        """What the active release has, with what this shell says on top: a shell that says nothing changes nothing."""
        record, _ = open_store(self._layout).read()
        active = record.active_state
        state = _state(self._layout)
        redis_at = redis_url(state, redis.password(self._layout), self._environ, find_binaries())
        said = config_of(service_env(self._layout, state, self._environ, redis_at))
        return {**(active.config if active else {}), **said}

    def secret_versions(self) -> Mapping[str, str]:
        return {}

    def index(self) -> str:
        return DEFAULT_INDEX


def laptop(layout: Layout, environ: Mapping[str, str]) -> Target:
    """The running stack of `layout`. Raises StackDown when there is none, BadInput for rules that are none."""
    state = _state(layout)
    if not supervisor.is_there(layout):  # not `is_up`: to move the traffic back needs no answer of it
        raise StackDown(str(layout.home))
    url = f"https://localhost:{state.ports.public}"
    entries = {color: Entry(url, {PROBE_HEADER: probe_secret(layout, color)}, str(layout.ca)) for color in COLORS}

    def scraped(color: Color) -> list[str]:
        return [f"http://127.0.0.1:{port}/metrics" for port in state.ports.apps(color)]

    store = FileStore(layout.releases)
    chosen = rules(environ)
    return Target(
        name="laptop",
        store=store,
        traffic=CaddyTraffic(layout.traffic, entries),
        runtime=SupervisorRuntime(layout),
        metrics=ScrapeMetrics(scraped, layout.logs / "access.log", slow_seconds=chosen.slo_seconds),
        images=VersionImages(layout, environ),
        evidence_url=lambda key: store.path(key).as_uri(),
        rules=chosen,
        probe_headers={"Authorization": f"Bearer {layout.admin_key.read_text(encoding='utf-8').strip()}"}
        if layout.admin_key.is_file()
        else {},
    )


def rules(environ: Mapping[str, str]) -> Rules:
    """The laptop's rules, with what TEAL_RULES says instead."""
    try:
        said = TypeAdapter(dict[str, object]).validate_json(environ.get(RULES_VARIABLE) or "{}")
        if unknown := said.keys() - asdict(RULES).keys():
            raise BadInput(f"There is no rule {', '.join(sorted(unknown))}", where=RULES_VARIABLE, next=f"unset {RULES_VARIABLE}")
        return TypeAdapter(Rules).validate_python(asdict(RULES) | said)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise BadInput(
            f"These are no rules of a release: {reason}", where=RULES_VARIABLE, next=f"unset {RULES_VARIABLE}"
        ) from error


def _state(layout: Layout) -> StackState:
    state = load(layout)
    if state is None:
        raise StackDown(str(layout.home))
    return state


def _image(version: Version, label: str | None) -> Image:
    return Image(version.id, label or version.label or version.id[:12], version.schema_min, version.schema_max)
