"""A whole service in memory for the tests of releases: store, load balancer, two colors, jobs, users, and a clock that nobody waits for.

`World` is the truth. `World.process()` is one operator's process: it sees the world through ports that can be made to fail or to die
at their n-th call, and after its death nothing of it reaches the world any more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import httpx

from teal.client.entry import BYPASS_HEADER, ColorEndpoint
from teal.errors import AdminFailed, BadInput, OperatorError
from teal.events import Event
from teal.metrics.gates import GATES, counters
from teal.ports.metrics import Counts
from teal.ports.runtime import Readiness
from teal.ports.target import Image, ReleaseRules, Target
from teal.ports.traffic import Weights, all_to
from teal.record.file import StoreFailed
from teal.record.model import Color, ColorState, LostRace, Record, Version

RULES = ReleaseRules(analysis_seconds=10, minimum_samples=50, hold_seconds=10, lease_seconds=100, fence_seconds=10, ready_seconds=30,
              jobs_seconds=20, ingest_seconds=20, paused_seconds=60, poll_seconds=5, probes_per_poll=10)  # fmt: skip
Mode = Literal["raise", "crash", "kill-before", "kill-after"]


def counted(**given: int) -> Counts:
    """What a service has counted that writes every metric: these numbers, and 0 of all others."""
    return Counts({**{counter.name: 0 for counter in counters(GATES)}, **given})


class Killed(BaseException):
    """kill -9: no handler of the program runs, as far as the world can tell."""


@dataclass
class Behaviour:
    """How an image serves. Shares are of requests."""

    errors: float = 0.0
    slow: float = 0.0
    starts: bool = True
    ready: bool = True
    stays_ready: bool = True
    golden: bool = True
    fails_from: str = "9999"  # the revision of the schema with which it answers 500
    fails_for_good: bool = False  # also when that is taken back
    status: int = 200
    ingests: bool = True
    streams_end: str = "done"
    streams_break_at: int = 0  # percent of the requests from which that is so
    shares_cache: bool = False  # cache keys without the release
    counted: bool = True  # whether its requests show up in the metrics
    jobs_finish: bool = True
    finds: tuple[str, ...] = ("d1", "d2", "d3")  # what every recorded query of users finds, best first


@dataclass
class World:
    record: bytes | None = None
    version: int = 0
    objects: dict[str, bytes] = field(default_factory=dict)
    store_down: bool = False
    weights: Weights = field(default_factory=lambda: all_to("blue"))
    shares_seen: list[Weights] = field(default_factory=list)
    running: dict[Color, ColorState] = field(default_factory=dict)
    replicas: dict[Color, int] = field(default_factory=lambda: {"blue": 0, "green": 0})
    floors: dict[Color, int] = field(default_factory=dict)  # what their autoscalers keep at least
    half_done: set[Color] = field(default_factory=set)
    jobs: dict[str, int] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    behaviour: dict[str, Behaviour] = field(default_factory=dict)
    revision: str = "0001"
    newest: str = "0001"  # that a request ever met
    expands_to: str = "0001"
    rate: float = 400.0  # requests a second of all users
    silent: set[Color] = field(default_factory=set)  # colors whose processes do not say what they counted
    counts: dict[Color, Counts] = field(default_factory=lambda: {"blue": counted(), "green": counted()})
    served: dict[str, float] = field(default_factory=dict)  # requests of users by release
    seconds: float = 0.0
    calls: list[str] = field(default_factory=list)
    on_sleep: list[Callable[[], None]] = field(default_factory=list)
    documents: set[str] = field(default_factory=set)
    tested_hours_ago: tuple[float, ...] = (30.0, 3.0)  # snapshots that passed their test
    untested: list[str] = field(default_factory=list)  # snapshots that a release took by itself
    indexes: set[str] = field(default_factory=lambda: {"teal"})
    older_images: set[str] = field(default_factory=set)  # they know `jobs transfer` by its former name
    kept: list[object] = field(default_factory=list)
    sampled: int | None = None  # recorded queries with their texts; None: texts are not kept
    cache: dict[tuple[str, bytes], float] = field(default_factory=dict)  # when it was put there

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def behaves(self, state: ColorState) -> Behaviour:
        return self.behaviour.get(state.image, Behaviour())

    def pass_time(self, seconds: float) -> None:
        self.seconds += seconds
        for color, state in self.running.items():
            if not self.weights.of(color):  # its autoscaler finds nothing to do
                self.replicas[color] = self.floors.get(color, 1)
            sent = self.rate * seconds * self.weights.of(color) / 100
            self.served[state.release_id] = self.served.get(state.release_id, 0) + sent
            self.count(color, state, sent)

    def count(self, color: Color, state: ColorState, requests: float) -> None:
        how, old, n = self.behaves(state), self.counts[color], round(requests)
        if how.counted:
            more = {
                "requests": n,
                "errors": round(n * how.errors),
                "slow": round(n * how.slow),
                "searches": n // 3,
                "streams": n // 3,
            }
            self.counts[color] = counted(**{name: old[name] + more.get(name, 0) for name in old})

    def left(self) -> tuple[object, ...]:
        """All that a process which dies now leaves behind, but for the time and what was counted."""
        return (self.record, len(self.objects), self.weights, repr(self.running), repr(self.replicas), repr(self.floors), repr(self.half_done), repr(self.jobs),
                self.revision, repr(sorted(self.documents)), self.tested_hours_ago, len(self.untested), repr(sorted(self.indexes)))  # fmt: skip

    def load(self) -> Record:
        return Record() if self.record is None else Record.model_validate_json(self.record)

    def put_image(self, id: str, how: Behaviour | None = None, *, schema: tuple[str, str] = ("0001", "0001")) -> str:
        self.images[id] = Image(id, f"v-{id}", *schema)
        self.behaviour[id] = how or Behaviour()
        return id

    def begin(self, active: Color = "blue") -> None:
        """An active color of release r0 with two processes and three jobs, as a first release leaves it."""
        self.put_image("old")
        state = ColorState(release_id="r0", image="old", index="teal", schema_min="0001", schema_max="0001", replica_floor=2)
        self.running[active], self.replicas[active], self.jobs["r0"], self.weights = state, 3, 3, all_to(active)
        self.floors[active] = 2
        self.record = Record(generation=1, active=active, history=("r0",), **{active: state}).model_dump_json().encode()
        self.version = 1

    def process(self, at: int = 0, mode: Mode = "kill-before", **changes: Any) -> Process:
        return Process(self, at, mode, changes)

    def assert_whole(self) -> None:
        """What every end of every story must be: one color, with everything, and nothing of the other."""
        record = self.load()
        assert record.release is None, record.release
        assert record.lease is None
        active = record.active
        for color in ("blue", "green"):
            if color != active:
                assert self.replicas[color] == 0, f"{color} runs"
                assert color not in self.running
                assert record.color(color) is None
                assert color not in self.half_done
        if active is None:
            return
        assert self.weights == all_to(active)
        state = record.color(active)
        assert state is not None
        assert self.running[active].release_id == state.release_id
        assert self.replicas[active] >= 2
        assert self.floors == {active: RULES.least_processes}, "its autoscaler decides"
        stranded = {id: left for id, left in self.jobs.items() if left and id != state.release_id}
        assert not stranded, f"stranded jobs: {stranded}"
        assert not self.documents, "a probe document was left"
        assert self.indexes == {state.index}, f"kept up: {self.indexes}"


class Process:
    """One operator's process. `target` is what the code under test gets."""

    def __init__(self, world: World, at: int, mode: Mode, changes: dict[str, Any]) -> None:
        self.world, self.at, self.mode = world, at, mode
        self.made = 0
        self.changed: list[int] = []  # the calls after which the world was another
        self.dead = False
        self.before: dict[str, Callable[[], None]] = {}  # run once, right before the named call takes effect
        ports = {name: _Watched(self, name, port(world)) for name, port in (("store", Memory), ("traffic", Shares), ("runtime", Colors),
                                                                            ("metrics", Meter), ("images", Registry))}  # fmt: skip
        golden = Path(__file__).with_name("golden.jsonl")
        self.target = Target(**{"name": "memory", **ports, "evidence_url": lambda key: f"memory:{key}", "rules": RULES, "golden": golden,
                             "clock": Time(self), "client": self.client, **changes})  # fmt: skip

    def call(self, name: str, act: Callable[[], Any]) -> Any:
        if self.dead:
            raise Killed(name)
        self.made += 1
        mine = self.made == self.at
        if mine and self.mode == "raise":
            raise OperatorError(f"{name} failed", where=name, next="teal status")
        if mine and self.mode == "crash":
            raise RuntimeError(f"a defect in {name}")
        if mine and self.mode == "kill-before":
            self.dead = True
            raise Killed(name)
        if hook := self.before.pop(name, None):
            hook()
        before = self.world.left()
        found = act()
        if self.world.left() != before:
            self.changed.append(self.made)
        if mine:
            self.dead = True
            raise Killed(name)
        return found

    def client(self, entry: ColorEndpoint) -> httpx.Client:
        def answer(request: httpx.Request) -> httpx.Response:
            return self.call("http", lambda: serve(self.world, entry, request))

        return httpx.Client(base_url=entry.url, headers=dict(entry.headers), transport=httpx.MockTransport(answer))


class _Watched:
    """A port whose calls, and the steps of its generators, are counted by its process."""

    def __init__(self, process: Process, name: str, port: Any) -> None:
        self._process, self._name, self._port = process, name, port

    def __getattr__(self, name: str) -> Any:
        method, label = getattr(self._port, name), f"{self._name}.{name}"

        def call(*arguments: Any, **options: Any) -> Any:
            if name == "entry":
                return method(*arguments)
            if name in ("deploy", "retire", "mend"):
                return self._each(label, method(*arguments))
            return self._process.call(label, lambda: method(*arguments, **options))

        return call

    def _each(self, label: str, events: Iterator[Event]) -> Iterator[Event]:
        while (event := self._process.call(label, lambda: next(events, None))) is not None:
            yield event


class Time:
    def __init__(self, process: Process) -> None:
        self._process = process

    def now(self) -> datetime:
        return self._process.world.now()

    def monotonic(self) -> float:
        return self._process.world.seconds

    def sleep(self, seconds: float) -> None:
        if self._process.dead:
            raise Killed("sleep")
        self._process.world.pass_time(seconds)
        for hook in list(self._process.world.on_sleep):
            hook()


class Memory:
    """A store."""

    def __init__(self, world: World) -> None:
        self._world = world

    def read(self) -> tuple[Record, Version]:
        self._up()
        return self._world.load(), Version(str(self._world.version))

    def write(self, record: Record, *, expected: Version) -> Version:
        self._up()
        if expected != str(self._world.version):
            raise LostRace("memory")
        self._world.record, self._world.version = record.model_dump_json().encode(), self._world.version + 1
        return Version(str(self._world.version))

    def create(self, key: str, body: bytes) -> None:
        self._up()
        if self._world.objects.setdefault(key, body) != body:
            raise LostRace(key)

    def fetch(self, key: str) -> bytes | None:
        self._up()
        return self._world.objects.get(key)

    def _up(self) -> None:
        if self._world.store_down:
            raise StoreFailed("the store is down", "memory")


class Shares:
    """A load balancer that, like ALB, can not refuse what was sent to it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def read(self) -> Weights:
        return self._world.weights

    def set(self, weights: Weights, *, check: Callable[[], None] | None = None) -> None:
        if check is not None:
            check()
        self._world.weights = weights
        self._world.shares_seen.append(weights)

    def entry(self, color: Color) -> ColorEndpoint:
        return ColorEndpoint(f"https://{color}.test", {"X-Color": color})


class Colors:
    """A runtime with one catalog and its jobs."""

    def __init__(self, world: World) -> None:
        self._world = world

    def deploy(self, color: Color, state: ColorState) -> Iterator[Event]:
        world = self._world
        world.calls.append(f"deploy {color} floor {state.replica_floor}")
        if not world.behaves(state).starts:
            raise OperatorError("it does not start", where=color, next="teal logs app")
        world.half_done.add(color)
        world.running[color], world.replicas[color] = state, 1
        yield Event("deploy", "progress", "one process")
        world.floors[color] = world.replicas[color] = max(state.replica_floor, 1)
        world.jobs.setdefault(state.release_id, 0)
        world.half_done.discard(color)
        yield Event("deploy", "progress", "all processes")

    def readiness(self, color: Color) -> Readiness:
        state = self._world.running.get(color)
        if state is None:
            return Readiness(0, 0)
        how, wanted = self._world.behaves(state), self._world.replicas[color]
        serving = how.stays_ready or self._world.weights.of(color) == 0
        return Readiness(wanted if how.ready and serving else 0, wanted, "" if how.ready and serving else "it crashes")

    def replicas(self, color: Color) -> int:
        return self._world.replicas[color]

    def keep_at_least(self, color: Color, processes: int) -> None:
        if color in self._world.running:
            self._world.floors[color] = processes
            self._world.replicas[color] = max(self._world.replicas[color], processes)

    def retire(self, color: Color) -> Iterator[Event]:
        self._world.calls.append(f"retire {color}")
        if color in self._world.running:
            assert self._world.weights.of(color) == 0 or self._world.load().active is None, (
                f"{color} is retired while it has requests"
            )
            self._world.replicas[color] = 1
            self._world.half_done.add(color)
            yield Event("retire", "progress", "one process left")
        self._world.running.pop(color, None)
        self._world.floors.pop(color, None)
        self._world.replicas[color] = 0
        self._world.half_done.discard(color)
        yield Event("retire", "progress", "empty")

    def pending(self, color: Color) -> tuple[str, ...]:
        return ("an operation is pending",) if color in self._world.half_done and color not in self._world.running else ()

    def mend(self, color: Color) -> Iterator[Event]:
        self._world.half_done.discard(color)
        yield Event("mend", "ok", color)

    def admin(self, state: ColorState, color: Color, *arguments: str) -> list[dict[str, Any]]:
        world = self._world
        if arguments != ("snapshots",):  # a question, which a dry run may ask too
            world.calls.append(" ".join(arguments))
        options = dict(zip(arguments[2::2], arguments[3::2], strict=False))
        match arguments[:2]:
            case ("migrate", "--expand"):
                world.revision = max(world.revision, world.expands_to)
                return [{"revision": world.revision}]
            case ("migrate", "--back"):
                world.revision = arguments[2]
                return [{"revision": world.revision}]
            case ("migrate", "--contract"):
                world.revision = state.schema_max
                return [{"revision": world.revision}]
            case ("schema",):
                waiting = [world.expands_to] if world.expands_to > world.revision else []
                return [
                    {
                        "expand": waiting,
                        "revision": world.revision,
                        "min": state.schema_min,
                        "max": state.schema_max,
                        "head": state.schema_max,
                    }
                ]
            case ("jobs", "left"):
                return [{"left": world.jobs.get(options["--release"], 0)}]
            case ("jobs", name) if name not in ("transfer", "rehome") or (name == "rehome") != (
                state.image in world.older_images
            ):
                known = "rehome" if state.image in world.older_images else "transfer"
                raise AdminFailed(f"jobs {name}", code="invalid-request", detail=f"argument left|{known}: invalid choice: {name!r} "
                                  f"(choose from 'left', '{known}')", action="See --help.", bad_input=True)  # fmt: skip
            case ("jobs", _):
                source, to = options["--from"], options["--to"]
                moved = world.jobs.get(source, 0)
                world.jobs[source], world.jobs[to] = 0, world.jobs.get(to, 0) + moved
                return [{"moved": moved}]
            case ("snapshots",):
                return [{"verified_at": "2026-01-01T00:00:00Z", "age_seconds": 3600 * hours} for hours in world.tested_hours_ago]
            case ("queries", "sample"):
                count = min(world.sampled or 0, int(options["--count"]))
                about = {"kind": "sample", "keeps": "texts", "recorded": 99, "left_out": 0}
                scope = {"kind": "scope", "scope": 0, "id": "k1", "key": "of-recorded-queries", "collections": ["a"]}
                bodies = [{"query": f"recorded {number}"} for number in range(count)]
                return [
                    about,
                    *([scope] if count else []),
                    *({"kind": "query", "scope": 0, "path": "/v1/search", "body": body} for body in bodies),
                ]
            case ("keys", "create"):
                return [{"key": "bound"}]
            case ("snapshot",):
                world.untested.append(f"s{len(world.untested) + 1}")
                return [{"id": world.untested[-1]}]
            case ("verify", "--snapshot"):
                assert arguments[2] in world.untested
                world.tested_hours_ago = (*world.tested_hours_ago, 0.0)
                return [{"snapshot": arguments[2], "detail": "3 documents"}]
            case ("index", "build"):
                name = options["--name"]
                first = name not in world.indexes
                world.indexes.add(name)
                return [{"done": 5, "left": 5 if first else 0, "detail": "in pieces"}]  # two calls
            case ("index", "verify"):
                assert options["--name"] in world.indexes, "verified before it was built"
                return [{"detail": "as the catalog"}]
            case ("index", "drop"):
                assert options["--name"] != state.index, "the index that is read"
                there = options["--name"] in world.indexes
                world.indexes.discard(options["--name"])
                return [{"dropped": there}]
        raise AdminFailed(" ".join(arguments), code="unknown", detail="no such command", action="", bad_input=True)


class Meter:
    def __init__(self, world: World) -> None:
        self._world = world

    def read(self, color: Color) -> Counts:
        if color not in self._world.running or color in self._world.silent:
            raise OperatorError(f"nobody answers in {color}", where=color, next="teal status")
        return self._world.counts[color]


class Registry:
    def __init__(self, world: World) -> None:
        self._world = world

    def build(self, path: Path, label: str | None) -> Image:
        self._world.calls.append(f"build {path}")
        return self.known(path.name)

    def known(self, id: str) -> Image:
        if id not in self._world.images:
            raise BadInput("No such image", where=id, next="teal history")
        return self._world.images[id]

    def config(self) -> dict[str, str]:
        return {"TEAL_SEARCH": "embedded"} | ({} if self._world.sampled is None else {"TEAL_QUERY_SAMPLE": "texts"})

    def secret_versions(self) -> dict[str, str]:
        return {}

    def index(self) -> str:
        return "teal"


def serve(world: World, entry: ColorEndpoint, request: httpx.Request) -> httpx.Response:
    """What a color answers to a probe; counted as any request is."""
    color: Color = "blue" if entry.headers["X-Color"] == "blue" else "green"
    state = world.running.get(color)
    if state is None:
        return httpx.Response(503, json={"title": "nobody is here"})
    world.count(color, state, 1)
    how = world.behaves(state)
    world.newest = max(world.newest, world.revision)
    if how.fails_from <= (world.newest if how.fails_for_good else world.revision):
        return httpx.Response(500, json={"title": "no such column"})
    match request.method, request.url.path:
        case "GET", "/" if how.status == 200:
            return httpx.Response(200, html="<html></html>")
        case "POST", "/v1/documents/upload":
            world.documents.add("upload")
            return httpx.Response(202, json={"id": "upload", "status": "queued"})
        case "GET", "/v1/documents":
            return httpx.Response(200, json={"items": [{"id": id, "collection": "teal-probe"} for id in world.documents]})
        case "POST", "/v1/documents":
            id = json.loads(request.content)["title"].removeprefix("teal probe ")
            world.documents.add(id)
            return httpx.Response(202, json={"id": id, "status": "queued"})
        case "GET", _:
            return httpx.Response(200, json={"status": "indexed" if how.ingests else "processing"})
        case "DELETE", path:
            world.documents.discard(path.rsplit("/", 1)[1])
            return httpx.Response(204)
    key = ("" if how.shares_cache else state.release_id, request.content)
    # What a color found reaches the shared cache a moment after its answer.
    known = any(world.cache.get(each, world.seconds) < world.seconds for each in (key, ("", request.content)))
    if BYPASS_HEADER not in request.headers:
        world.cache.setdefault(key, world.seconds)
    answer = "use cache_page" if how.golden else "I don't know"
    asked = json.loads(request.content)
    if asked.get("stream"):
        last = how.streams_end if world.weights.of(color) >= how.streams_break_at else "done"
        return httpx.Response(how.status, text=f'event: {last}\ndata: {{"citations": []}}\n\n')
    about_the_upload = "upload" in world.documents and asked.get("filters", {}).get("collections") == ["teal-probe"]
    found = [{"document_id": "upload"}] if about_the_upload else []
    if request.headers.get("Authorization") == "Bearer of-recorded-queries":
        assert BYPASS_HEADER in request.headers, "a replay that a cache answers compares nothing"
        found = [{"document_id": id, "passage": "words"} for id in how.finds]
    return httpx.Response(
        how.status,
        headers={"X-Cache": "hit-redis" if known else "miss"},
        json={"answer": answer, "citations": found, "hits": found},
    )
