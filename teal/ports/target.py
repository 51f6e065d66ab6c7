"""The target of a release: its adapters for traffic, processes, counts, images and the record.
One for the laptop, one for each stack on AWS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx

from contract.steering import Steering
from teal.client.entry import ColorEndpoint
from teal.client.probe import open_client
from teal.clock import Clock, SystemClock
from teal.ports.inside import Inside
from teal.ports.metrics import Metrics
from teal.ports.runtime import Runtime
from teal.ports.traffic import Traffic
from teal.record.model import Store

GOLDEN = Path(__file__).parent.parent / "release" / "golden.jsonl"


@dataclass(frozen=True, slots=True)
class Image:
    """One build of the service. `id`: laptop: SHA-256 of a version; AWS: repository@sha256:... Schema: the revisions it can serve."""

    id: str
    label: str
    schema_min: str
    schema_max: str


class Images(Protocol):
    """`versions` on a laptop (wheels under .teal/versions), the registry on AWS (built and pushed by the workflow)."""

    def build(self, path: Path, label: str | None) -> Image:
        """An image of the working tree at `path`; the same content again is the same image. Raises BadInput."""
        ...

    def known(self, id: str) -> Image:
        """An image that was built before; a prefix or a label will do where it is unique. Raises BadInput."""
        ...

    def config(self) -> Mapping[str, str]:
        """The environment of a new color, without secrets and without TEAL_INDEX (see ColorState.index)."""
        ...

    def secret_versions(self) -> Mapping[str, str]:
        """The version of each secret that a new color gets: names and versions, never values;
        empty where secrets have no versions."""
        ...

    def index(self) -> str:
        """The name of the search index that a first release reads; later releases read the active color's index."""
        ...


@dataclass(frozen=True, slots=True)
class ReleaseRules:
    """How careful a release is. Seconds and shares; the defaults suit AWS, a laptop's are shorter."""

    steps: tuple[int, ...] = (5, 25, 50, 100)  # percent of the requests, one analysis at each
    analysis_seconds: float = 300.0  # of traffic at each step: five of the load balancer's one-minute metric periods
    minimum_samples: int = 100  # of a gate in each color: 5 % errors are then seen with 96 % (one or none in 100 has 4 %)
    slo_seconds: float = 2.0  # a request later than this is slow; shown in the evidence, counted by the service itself
    hold_seconds: float = 1800.0  # the rollback window: the old color stays ready, rollback is one call
    # A waiting step renews the lease: during a Pulumi operation every 5 s, during an admin Job every 30 s (a quarter of this).
    # Once a dead releaser's lease has ended, AWS's watchdog returns the traffic within one more minute,
    # so nobody is woken and nobody waits long.
    lease_seconds: float = 120.0
    fence_seconds: float = 10.0  # longer than any call to the load balancer can be in flight (timeouts and tries of one call)
    ready_seconds: float = 900.0  # to pull an image, load the model and be registered with the load balancer
    jobs_seconds: float = 300.0  # until no job of a leaving color is left: each is transferred or finished
    ingest_seconds: float = 120.0  # for the probe document to be indexed by the new worker
    paused_seconds: float = 3600.0  # an inconclusive release waits this long for `teal resume`, then undoes itself
    # The greatest age of the newest tested snapshot when a release begins: a day, and the time to take one. 0: not checked.
    snapshot_hours: float = 26.0
    poll_seconds: float = 5.0
    probes_per_poll: int = 10  # requests to each color when users send too few
    load: str = ""  # a shape of load that the new color must carry before it meets a user: `teal release --load smoke`
    pause_at: int = 0  # percent, one of `steps`: the release waits there for a person after the analysis. 0: nowhere
    # Recorded queries of users that a replay sends three times each. Of 50, 15 that find other things stop a release;
    # fewer would need more of them. One request at a time, so that the active color's users do not notice it.
    replay_queries: int = 50
    replay_per_second: float = 20.0
    replay_seconds: float = 120.0  # at most; a model that writes answers takes seconds for each
    accept_different_answers: bool = False  # the replay is shown and not judged: another model or index on purpose
    least_processes: int = 2  # of a color outside releases: the minimum that the stack's file gives its autoscaler


@dataclass(frozen=True, slots=True)
class CiRun:
    """One run of CI on a commit. `conclusion` is GitHub's word, "success" for one that passed; empty while it runs."""

    conclusion: str
    url: str


@dataclass(frozen=True, slots=True)
class Promotion:
    """Where an image must have been released Healthy before it may be released here. `store`: the record there, which is only read.
    `newest_ci_run`: asks for CI's newest run on a commit, None if there is none; the field is None where CI is not asked."""

    stack: str
    store: Store
    newest_ci_run: Callable[[str], CiRun | None] | None = None


def no_promotion() -> Promotion | None:
    """The promotion of a target that releases any image."""
    return None


@dataclass(frozen=True, slots=True)
class Target:
    """One release target. `evidence_url`: turns a store key into an address for people. `probe_headers`: sent by probes besides
    those of `Traffic.entry`: the API key (role writer), and what makes the service bypass its caches."""

    name: str  # "laptop" or the stack's name
    store: Store
    traffic: Traffic
    runtime: Runtime
    metrics: Metrics
    images: Images
    evidence_url: Callable[[str], str]
    rules: ReleaseRules = field(default_factory=ReleaseRules)
    probe_headers: Mapping[str, str] = field(default_factory=dict)
    golden: Path = GOLDEN  # lines {"question", "words"?, "title"?}
    inside: Inside | None = None  # None: a releaser cannot see inside the processes (AWS)
    steering: Callable[[], Steering] = Steering  # hooks and notifications, read when a release begins: raises BadInput
    promotion: Callable[[], Promotion | None] = no_promotion  # read when a release begins: raises BadInput
    clock: Clock = field(default_factory=SystemClock)
    client: Callable[[ColorEndpoint], httpx.Client] = open_client
