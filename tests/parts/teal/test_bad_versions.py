"""Bad versions that need no whole release to be seen: the real app of each, asked by the real probes and judged by the real gates.

`tests/laptop/test_release_bad_versions.py` releases those that differ most; docs/releases.md says who released these by hand, and what it cost.
"""

from __future__ import annotations

import asyncio
import io
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from app.access.query_sample import QuerySampler
from app.catalog.engine import Catalog
from app.http.schemas import SearchIn
from app.settings import Settings
from teal.client.entry import PROBE_HEADER, ColorEndpoint
from teal.client.probe import ProbeFailed, Prober, read_golden_questions
from teal.drill.corpus import CORPUS
from teal.laptop.inside import LaptopInside
from teal.metrics.scrape import ScrapeMetrics
from teal.ports.target import GOLDEN, ReleaseRules, Target
from teal.record.model import Color
from teal.release.analysis import Analysis
from teal.release.answers import compare, worse
from teal.release.probes.registry import PROBES
from teal.release.probes.visit import COLLECTION, ProbeVisit, WrongBehaviour
from teal.release.replay import Colors, RecordedQuery, recorded_queries, replayed
from tests.parts.app.service import Service, add
from tests.services.ports import free_port
from tests.services.releasing import tree

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
SECRET = "probes-of-this-test-alone"  # pragma: allowlist secret
QUESTIONS = read_golden_questions(GOLDEN)
SLOW_SECONDS = 0.5
TIMES = 3  # each question: a version that cuts every second stream passes one run of five in 3 % of all cases, this one in none of 30,000

# What no behaviour probe may pass, and what its failure says.
PROBED = {
    "other_tenants_passages": ("tenants", "gets a passage of another collection"),
    "uploads_fail": ("document", "/v1/documents/upload: 500"),
    "streams_cut": ("streams", "not with done"),
    "wrong_citations": ("citations", "not retrieved for it"),
    "ungrounded_answers": ("grounded", "is not what it cites"),
    "page_asset_missing": ("page", "/static/newer.js is 404"),
    "leaks_descriptors": ("growth", "more open files"),
    "leaks_memory": ("growth", "more bytes of memory"),
    "secret_in_logs": ("logs", "stands in its logs"),
}
# What a gate stops, by the kind of request that users send.
GATED = {
    "finds_nothing_often": ("search", "empty retrieval"),
    "model_refuses": ("search", "model 429"),
    "refuses_listing": ("list", "documents: refused"),
    "slow_uploads": ("upload", "upload: slow"),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two good app processes and a worker, with what the golden questions ask about."""
    folder = tmp_path_factory.mktemp("good")
    settings = {
        "TEAL_EMBEDDING": "none",
        "TEAL_RATE_LIMIT_PER_SECOND": "1000",
        "TEAL_PROBE_SECRET": SECRET,
        "TEAL_LOG_DIR": str(folder),
        "TEAL_QUERY_SAMPLE": "texts",
    }
    running = Service(folder, settings, apps=2).start()
    with running.client() as client:
        for title, text in CORPUS.items():
            add(client, title, text)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def keys(service: Service) -> tuple[str, str]:
    return service.key("writer"), service.key("reader", COLLECTION)


@contextmanager
def started(service: Service, tmp_path: Path, name: str) -> Iterator[str]:
    """The address of one app process of a bad version, beside the good ones: same data, same worker."""
    code, port = tree(tmp_path, name), free_port()
    extra = {"PYTHONPATH": str(code), "PYTHONSAFEPATH": "1", "TEAL_SLOT": "bad", "TEAL_COLOR": "green"}
    service.spawn("green-app", ["-m", "app.main", "--port", str(port)], extra)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(400):
            with suppress(httpx.TransportError):
                if httpx.get(f"{address}/readyz", timeout=5).json()["status"] == "ready":
                    break
            time.sleep(0.1)
        else:
            raise TimeoutError(service.log_tail())
        yield address
    finally:
        service.kill("green-app")
        (service.folder / "green-app.log").write_text("")


def prober(address: str, key: str) -> Prober:
    headers = {"Authorization": f"Bearer {key}", PROBE_HEADER: SECRET}
    return Prober(httpx.Client(base_url=address, timeout=30), headers)


@contextmanager
def visiting(service: Service, address: str, keys: tuple[str, str]) -> Iterator[ProbeVisit]:
    inside, began = LaptopInside(lambda _: [f"{address}/metrics"], service.folder), time.monotonic()

    def wait() -> bool:
        time.sleep(0.1)
        return time.monotonic() < began + 40

    with prober(address, keys[0]) as writer, prober(address, keys[1]) as bound:
        yield ProbeVisit(writer, bound, tuple(one.question for one in QUESTIONS) * TIMES, "zmarkword", wait, keys[1],
                    lambda: inside.held("green"), lambda text: inside.logged("green", text))  # fmt: skip


def test_a_process_that_does_not_answer_leaves_the_sum_of_a_color_unsaid(service: Service) -> None:
    one = f"http://127.0.0.1:{service.ports[0]}/metrics"
    whole = LaptopInside(lambda _: [one], service.folder).held("blue")
    assert whole["open files"] > 10
    assert whole["bytes of memory"] > 10_000_000
    assert LaptopInside(lambda _: [one, f"http://127.0.0.1:{free_port()}/metrics"], service.folder).held("blue") == {}


def failed_probes(visit: ProbeVisit, *names: str) -> dict[str, str]:
    found = {}
    for probe in [one for one in PROBES if not names or one.name in names]:
        try:
            probe.ask(visit)
        except (WrongBehaviour, ProbeFailed) as error:
            found[probe.name] = error.what
    return found


def test_a_good_version_passes_every_behaviour_probe(service: Service, keys: tuple[str, str]) -> None:
    with visiting(service, f"http://127.0.0.1:{service.ports[0]}", keys) as visit:
        assert failed_probes(visit) == {}


@pytest.mark.parametrize("name", PROBED)
def test_a_version_that_misbehaves_is_named_by_a_behaviour_probe(
    service: Service, keys: tuple[str, str], tmp_path: Path, name: str
) -> None:
    probe, says = PROBED[name]
    with started(service, tmp_path, name) as address, visiting(service, address, keys) as visit:
        failed = failed_probes(visit, probe)
    assert says in failed.get(probe, ""), failed


def test_a_version_whose_passages_read_backwards_fails_the_golden_questions(
    service: Service, keys: tuple[str, str], tmp_path: Path
) -> None:
    with prober(f"http://127.0.0.1:{service.ports[0]}", keys[0]) as good:
        assert all(good.passes(one)[0] for one in QUESTIONS)
    with started(service, tmp_path, "reversed_passages") as address, prober(address, keys[0]) as bad:
        assert not any(bad.passes(one)[0] for one in QUESTIONS)


class Entries:
    """Where the colors are, for what asks nothing else of a load balancer."""

    def __init__(self, active: str, new: str) -> None:
        self._addresses = {"blue": active, "green": new}

    def entry(self, color: Color) -> ColorEndpoint:
        return ColorEndpoint(self._addresses[color], {PROBE_HEADER: SECRET}, None)


@pytest.fixture(scope="module")
def recorded(service: Service) -> tuple[RecordedQuery, ...]:
    """What users searched for, as the app records it, read as a release reads it. No golden question is among them."""
    settings = Settings.model_validate(
        {"state_dir": service.folder / "data", "backup_key": service.folder / "keys" / "backup.key", "query_sample": "texts"}
    )
    with closing(Catalog(settings.sqlalchemy_url())) as catalog:
        sampler = QuerySampler(catalog, settings)
        for number, words in enumerate(WORDS):
            sampler.offer({}, "search", SearchIn(query=words), None if number % 2 else ("default",), b'{"hits": []}')
            asyncio.run(sampler.flush())
    target = replayed_at("", "")
    queries, said = recorded_queries(target, service.admin, {"TEAL_QUERY_SAMPLE": "texts"})
    assert said.startswith(f"{len(WORDS)} of"), said
    assert {query.key for query in queries} != {queries[0].key}, "two scopes have two keys"
    return queries


WORDS = tuple(
    f"{one} {other}"
    for one in ("cache", "filter", "attachment", "password", "command")
    for other in ("view", "query", "email", "class")
)


def replayed_at(active: str, new: str) -> Target:
    there: Any = None  # a replay reaches colors and asks for no other port
    return Target(name="parts", store=there, traffic=cast("Any", Entries(active, new)), runtime=there, metrics=there, images=there,
                  evidence_url=str, rules=ReleaseRules(replay_per_second=100.0))  # fmt: skip


@pytest.mark.parametrize(("name", "says"), [("", ""), ("reordered_hits", "other hits")])
def test_recorded_queries_of_users_tell_a_version_that_ranks_them_otherwise_from_one_that_does_not(
    service: Service, keys: tuple[str, str], tmp_path: Path, recorded: tuple[RecordedQuery, ...], name: str, says: str
) -> None:
    good = f"http://127.0.0.1:{service.ports[0]}"
    with started(service, tmp_path, name) as address:
        measures = compare(list(replayed(replayed_at(good, address), Colors("blue", "green"), recorded)))
        with prober(address, keys[0]) as bad:
            assert all(bad.passes(one)[0] for one in QUESTIONS), "the golden questions see nothing of it"
    print(measures)
    assert says in worse(measures)
    assert bool(says) == bool(worse(measures))
    assert measures[0].new.endswith(f"of {len(WORDS)}")


def search(client: httpx.Client, number: int) -> None:
    client.post(
        "/v1/search", json={"query": f"{QUESTIONS[number % len(QUESTIONS)].question} {secrets.token_hex(4)}"}
    )  # nobody's cache has it


def listing(client: httpx.Client, number: int) -> None:
    client.get("/v1/documents")


def upload(client: httpx.Client, number: int) -> None:
    client.post("/v1/documents/upload", files={"file": ("same.txt", io.BytesIO(b"The same few words each time."), "text/plain")})


EACH = 10  # requests of each kind to each version between two looks: a release looks each second, at 25 a second
LOOKS = 10  # at a version that no gate may stop
# At a version that its gate must stop, until it does. "model 429" needs most: half of its calls are refused where the limit is 0.3 and the
# active version asks no model. Of 3,000 simulated versions 59 % were not yet stopped after 10 looks, 1.6 % after 30, none after 40.
LOOKS_AT_MOST = 80
USERS: dict[str, Callable[[httpx.Client, int], None]] = {"search": search, "list": listing, "upload": upload}


def failed_gates(
    addresses: tuple[str, str], key: str, kinds: tuple[str, ...], *, looks: int = LOOKS, until: str = ""
) -> set[str]:
    """What the gates of one step say of the second address beside the first, when users send the same to both, by turns. The looks end
    when the gate `until` has failed."""
    metrics = ScrapeMetrics(lambda color: [f"{addresses[color == 'green']}/metrics"], slow_seconds=SLOW_SECONDS)
    begun = {color: metrics.read(color) for color in ("blue", "green")}
    analysis = Analysis(steps=1, minimum=40, history=begun["blue"])
    analysis.begin_step()
    clients = [
        httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False)
        for address in addresses
    ]
    failed: set[str] = set()
    with ThreadPoolExecutor(8) as pool:
        for look in range(looks):
            if until in failed:
                break
            sent = [
                (kind, client, number) for kind in kinds for number in range(look * EACH, (look + 1) * EACH) for client in clients
            ]
            list(pool.map(lambda one: USERS[one[0]](one[1], one[2]), sent))
            now = {color: metrics.read(color).since(begun[color]) for color in ("blue", "green")}
            failed |= {one.gate for one in analysis.look(now["green"], now["blue"]) if one.verdict == "Failed"}
    for client in clients:
        client.close()
    return failed


def test_no_gate_stops_a_version_that_does_as_the_active_one(service: Service, keys: tuple[str, str]) -> None:
    first, second = (f"http://127.0.0.1:{port}" for port in service.ports)
    assert failed_gates((first, second), keys[0], tuple(USERS)) == set()


@pytest.mark.parametrize("name", GATED)
def test_a_version_that_serves_users_worse_is_stopped_by_its_gate(
    service: Service, keys: tuple[str, str], tmp_path: Path, name: str
) -> None:
    kind, gate = GATED[name]
    with started(service, tmp_path, name) as address:
        addresses = (f"http://127.0.0.1:{service.ports[0]}", address)
        assert gate in failed_gates(addresses, keys[0], (kind,), looks=LOOKS_AT_MOST, until=gate)
