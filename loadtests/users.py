"""The simulated users, one class for each kind of use.
Weights are the mix; think times are assumptions, as there are no logs of real users yet."""

from __future__ import annotations

import functools
import json
import random
import ssl
import time
from pathlib import Path
from typing import Any, Final

from gevent.pool import Group
from locust import between, constant_pacing, tag, task
from locust.env import Environment

from loadtests import calls, measured, options, questions
from loadtests.arrivals import ArrivalSchedule
from loadtests.meter import METER

LEAVES: Final = 0.15  # the share of asks whose reader leaves after the first words
TURNS: Final = (4, 8)  # questions in one conversation
QUESTION_CHARACTERS: Final = 1_800  # below the service's own limit of 2,000
ARRIVING: Final = {"search": 0.7, "ask": 0.3}  # of arriving requests
ARRIVING_SENDS: Final = {"search": (measured.SEARCH,), "ask": measured.ASKING}
OPEN_REQUESTS: Final = 200  # of one source at once: more would mean that the service is down, and are counted as not sent
LAST_SECONDS: Final = 10.0  # wait at the end for requests that are still open


@functools.cache
def tls_context(ca: str) -> ssl.SSLContext:
    """A TLS context, shared by all users of a process, because one for each user would cost 840 KiB and 20 ms."""
    return ssl.create_default_context(cafile=ca or None)


class TealUser(calls.LoadUser):
    """A user with a key that verifies the certificate, which Locust's default user does not."""

    abstract = True
    insecure = False
    connection_timeout = 5.0

    def __init__(self, environment: Environment) -> None:
        given: Any = environment.parsed_options
        self.chance = random.Random()  # noqa: S311 - which question is asked, no secret
        self.default_headers = {
            **json.loads(given.load_headers),
            "Authorization": f"Bearer {self.key(given.load_keys.split(','))}",
        }
        if given.load_host_header:
            self.default_headers["Host"] = given.load_host_header
        self.ssl_context_factory = lambda: tls_context(given.load_ca)
        self.network_timeout = given.load_silence_seconds
        self.limits = calls.Limits(options.resolved_options(given.load_resolved).slos)
        super().__init__(environment)
        self.asked = questions.load_questions(Path(given.load_questions))

    def key(self, keys: list[str]) -> str:
        return self.chance.choice(keys)

    def question(self) -> str:
        return questions.with_wording(self.chance.choice(self.asked), self.chance)


class Searcher(TealUser):
    """Types words, looks at the hits, types others."""

    weight = 6
    sends = (measured.SEARCH,)
    wait_time = between(1, 5)  # to read ten titles

    @tag("search")
    @task
    def search(self) -> None:
        calls.search(self, self.question())


class Asker(TealUser):
    """Asks one question, reads while the answer streams, and sometimes leaves early."""

    weight = 3
    sends = measured.ASKING
    wait_time = between(2, 8)  # to read a paragraph

    @tag("ask")
    @task
    def ask(self) -> None:
        leaves = self.chance.random() < LEAVES
        calls.ask(self, self.question(), leaves=lambda stream: leaves and stream.first_token is not None)


class Conversation(TealUser):
    """Holds a conversation: each question includes the earlier ones, because the service keeps no conversation."""

    weight = 1
    sends = measured.ASKING
    wait_time = between(3, 9)
    turns = TURNS

    def on_start(self) -> None:
        self.left_turns, self.before = 0, ""

    @tag("ask")
    @task
    def turn(self) -> None:
        if self.left_turns == 0:
            self.left_turns, self.before = self.chance.randint(*self.turns), ""
        said = self.question()
        calls.ask(self, f"{said} Asked before: {self.before}"[:QUESTION_CHARACTERS] if self.before else said)
        self.left_turns, self.before = self.left_turns - 1, f"{said} {self.before}"


class Uploader(TealUser):
    """Sends a document, waits until it is findable and deletes it.
    As in production, each change of the index empties all caches."""

    fixed_count = 1
    sends = measured.UPLOADING
    wait_time = between(5, 15)

    @tag("upload")
    @task
    def send(self) -> None:
        calls.send_document(self, self.chance)


class HealthProbe(TealUser):
    """Asks /readyz twice a second, because an answer that is slow for it is also slow for the load balancer."""

    fixed_count = 1
    sends = (measured.HEALTH,)
    wait_time = constant_pacing(0.5)

    @tag("health")
    @task
    def probe(self) -> None:
        calls.health(self)


class Source(TealUser):
    """Sends one request a second, independent of earlier answers; latency counts from the due time (loadtests/arrivals.py)."""

    concurrency = OPEN_REQUESTS
    sends = (measured.SEARCH, *measured.ASKING)
    until = float("inf")  # of `time.perf_counter`: the shape's end, which the run's start sets (loadtests/locustfile.py)

    def on_start(self) -> None:
        given: Any = self.environment.parsed_options
        found = options.resolved_options(given.load_resolved)
        poisson = self.chance if found.arrivals == "poisson" else None
        self.schedule = ArrivalSchedule(1.0, time.perf_counter(), self.chance.random(), chance=poisson, until=type(self).until)
        self.mix = found.mix or ARRIVING
        self.open = Group()

    def wait_time(self) -> float:
        return self.schedule.wait(time.perf_counter())

    @tag("search", "ask")
    @task
    def arrivals(self) -> None:
        for due in self.schedule.due(time.perf_counter()):
            (kind,) = self.chance.choices(list(self.mix), list(self.mix.values()))
            if len(self.open) >= OPEN_REQUESTS:
                name = measured.SEARCH if kind == "search" else measured.FIRST_EVENT
                METER.sent(name, None)
                calls.event(self, name, time.perf_counter() - due, calls.FailedCall("not sent: too many wait"))
            else:
                self.open.spawn(self.one, kind, due)

    def one(self, kind: str, due: float) -> None:
        """Send one request in its own greenlet. An exception is reported to Locust here, as Locust itself does for tasks."""
        try:
            (calls.search if kind == "search" else calls.ask)(self, self.question(), due)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run has failed
            self.environment.events.user_error.fire(user_instance=self, exception=error, tb=error.__traceback__)

    def on_stop(self) -> None:
        self.open.join(LAST_SECONDS)
        self.open.kill()
