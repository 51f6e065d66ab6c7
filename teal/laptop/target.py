"""The laptop as a release target: shares in Caddy, processes in supervisord, versions in `.teal/versions`,
the record in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from teal.adapters import LAPTOP, adapter
from teal.client.entry import PROBE_HEADER, ColorEndpoint
from teal.errors import BadInput, StackDown
from teal.laptop import supervisor, versions
from teal.laptop.address import kept_admin_key
from teal.laptop.configuration import DEFAULT_INDEX, config_of, service_env
from teal.laptop.inside import LaptopInside
from teal.laptop.layout import Layout
from teal.laptop.open_traffic import open_traffic
from teal.laptop.parts.part import PartContext
from teal.laptop.released import open_store
from teal.laptop.secrets import metrics_headers, probe_secret
from teal.laptop.state import LaptopState, load_state
from teal.laptop.versions import Version
from teal.ports.steering import read_steering
from teal.ports.target import Image, ReleaseRules, Target
from teal.record.file import FileStore
from teal.record.model import COLORS, Color

RULES_VARIABLE = "TEAL_RULES"  # JSON: other values for some of the rules below
RULES = ReleaseRules(
    analysis_seconds=10.0,  # ten reads of counters that are seconds old at most
    minimum_samples=100,
    slo_seconds=1.0,
    hold_seconds=60.0,  # long enough to look at the page and type `teal rollback`
    # When a releaser has died, its users are moved back after this time.
    # A waiting step renews the lease every 2.5 s (`LeaseHolder.during`).
    lease_seconds=10.0,
    fence_seconds=1.0,  # short: a rename takes effect at once, and a rollback removes links prepared before it
    ready_seconds=90.0,
    jobs_seconds=60.0,
    ingest_seconds=60.0,
    paused_seconds=300.0,
    snapshot_hours=50.0,  # two days: a sleeping laptop takes its snapshot only when it wakes
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
        """The active release's configuration, with the settings of this shell over it."""
        record, _ = open_store(self._layout).read()
        active = record.active_state
        said = config_of(service_env(PartContext(self._layout, _state(self._layout), self._environ)))
        return {**(active.config if active else {}), **said}

    def secret_versions(self) -> Mapping[str, str]:
        return {}

    def index(self) -> str:
        return DEFAULT_INDEX


def open_laptop_target(layout: Layout, environ: Mapping[str, str]) -> Target:
    """The running stack of `layout`. Raises StackDown when there is none, BadInput for invalid rules."""
    state = _state(layout)
    if not supervisor.is_there(layout):  # not `is_up`: a rollback needs no answer from supervisord
        raise StackDown(str(layout.home))
    url = f"https://localhost:{state.ports.public}"
    entries = {color: ColorEndpoint(url, {PROBE_HEADER: probe_secret(layout, color)}, str(layout.ca)) for color in COLORS}

    def scraped(color: Color) -> list[str]:
        return [f"http://127.0.0.1:{port}/metrics" for port in state.ports.apps(color)]

    said = metrics_headers(layout)
    store = FileStore(layout.releases)
    chosen = laptop_rules(environ)
    return Target(
        name="laptop",
        store=store,
        traffic=open_traffic(layout, entries),
        runtime=adapter("runtime", LAPTOP.runtime)(layout),
        metrics=adapter("metrics", LAPTOP.metrics)(
            scraped,
            layout.logs / "access.log",
            slow_seconds=chosen.slo_seconds,
            headers=said,
        ),
        images=VersionImages(layout, environ),
        evidence_url=lambda key: store.path(key).as_uri(),
        rules=chosen,
        steering=lambda: read_steering(layout.steering),
        inside=LaptopInside(scraped, layout.logs, said),
        probe_headers={"Authorization": f"Bearer {key}"} if (key := kept_admin_key(layout)) else {},
    )


def laptop_rules(environ: Mapping[str, str]) -> ReleaseRules:
    """The laptop's rules, with the values in TEAL_RULES replacing the defaults."""
    try:
        said = TypeAdapter(dict[str, object]).validate_json(environ.get(RULES_VARIABLE) or "{}")
        if unknown := said.keys() - asdict(RULES).keys():
            raise BadInput(f"There is no rule {', '.join(sorted(unknown))}", where=RULES_VARIABLE, next=f"unset {RULES_VARIABLE}")
        return TypeAdapter(ReleaseRules).validate_python(asdict(RULES) | said)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise BadInput(
            f"These are no rules of a release: {reason}", where=RULES_VARIABLE, next=f"unset {RULES_VARIABLE}"
        ) from error


def _state(layout: Layout) -> LaptopState:
    state = load_state(layout)
    if state is None:
        raise StackDown(str(layout.home))
    return state


def _image(version: Version, label: str | None) -> Image:
    return Image(version.id, label or version.label or version.id[:12], version.schema_min, version.schema_max)
