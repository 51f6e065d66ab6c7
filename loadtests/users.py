"""Who uses the service: one class a story. Weights are the mix; think times are judgements, because nobody has logs yet."""

from __future__ import annotations

import json
import random
import ssl
import time
from pathlib import Path
from typing import Any, Final

import gevent
from gevent.pool import Group
from locust import between, constant_pacing, task
from locust.contrib.fasthttp import FastHttpUser
from locust.env import Environment

from loadtests import calls, measured, questions
from loadtests.arrivals import Schedule

LEAVES: Final = 0.15  # of the asks, how many readers go away after the first words
TURNS: Final = (4, 8)  # questions in one conversation
QUESTION_CHARACTERS: Final = 1_800  # below the service's own limit of 2,000
SEARCHES: Final = 0.7  # of arriving requests; the rest are asks
OPEN_REQUESTS: Final = 200  # of one source: more waiting means that the service is gone, and each further one fails as "not sent"
SILENCE_SECONDS: Final = 45.0  # the service sends a heartbeat every 15 s
LAST_SECONDS: Final = 10.0  # at the end, for requests that are still open


class TealUser(FastHttpUser):
    """A user with a key, who verifies the certificate. Locust's default does not."""

    abstract = True
    insecure = False
    network_timeout = SILENCE_SECONDS
    connection_timeout = 5.0

    def __init__(self, environment: Environment) -> None:
        given: Any = environment.parsed_options
        keys = given.load_keys.split(",")
        self.chance = random.Random()  # noqa: S311 - which question is asked, no secret
        self.default_headers = {**json.loads(given.load_headers), "Authorization": f"Bearer {self.chance.choice(keys)}"}
        self.ssl_context_factory = lambda: ssl.create_default_context(cafile=given.load_ca or None)
        super().__init__(environment)
        self.asked = questions.load(Path(given.load_questions))

    def question(self) -> str:
        return questions.worded(self.chance.choice(self.asked), self.chance)


class Searcher(TealUser):
    """Types words, looks at the hits, types others."""

    weight = 6
    wait_time = between(1, 5)  # to read ten titles

    @task
    def search(self) -> None:
        calls.search(self, self.question())


class Asker(TealUser):
    """Asks one thing, reads while it streams, and sometimes has seen enough."""

    weight = 3
    wait_time = between(2, 8)  # to read a paragraph

    @task
    def ask(self) -> None:
        leaves = self.chance.random() < LEAVES
        calls.ask(self, self.question(), leaves=lambda stream: leaves and stream.first_token is not None)


class Conversation(TealUser):
    """Asks on and on: each question repeats what was asked before, because the service remembers nothing."""

    weight = 1
    wait_time = between(3, 9)

    def on_start(self) -> None:
        self.left_turns, self.before = 0, ""

    @task
    def turn(self) -> None:
        if self.left_turns == 0:
            self.left_turns, self.before = self.chance.randint(*TURNS), ""
        said = self.question()
        calls.ask(self, f"{said} Asked before: {self.before}"[:QUESTION_CHARACTERS] if self.before else said)
        self.left_turns, self.before = self.left_turns - 1, f"{said} {self.before}"


class Uploader(TealUser):
    """Sends a document, waits until it is findable and takes it away. Each change of the index empties everybody's caches, as it does in life."""

    fixed_count = 1
    wait_time = between(5, 15)

    @task
    def send(self) -> None:
        calls.send_document(self, self.chance)


class HealthProbe(TealUser):
    """Asks /readyz twice a second: what is slow for it is slow for the load balancer."""

    fixed_count = 1
    wait_time = constant_pacing(0.5)

    @task
    def probe(self) -> None:
        calls.health(self)


class Source(TealUser):
    """One request a second, whatever became of those before: latency counts from when it was due (loadtests/arrivals.py)."""

    concurrency = OPEN_REQUESTS

    def on_start(self) -> None:
        self.schedule = Schedule(1.0, time.perf_counter(), self.chance.random())
        self.open = Group()

    def wait_time(self) -> float:
        return self.schedule.wait(time.perf_counter())

    @task
    def arrivals(self) -> None:
        for due in self.schedule.due(time.perf_counter()):
            if len(self.open) >= OPEN_REQUESTS:
                calls.event(self, measured.SEARCH, time.perf_counter() - due, calls.Refused("not sent: too many wait"))
            else:
                self.open.spawn(self.one, due)

    def one(self, due: float) -> None:
        """A greenlet of its own. One that is ended before its answer came is counted as failed: leaving it out would flatter."""
        name = measured.SEARCH if self.chance.random() < SEARCHES else measured.FIRST_EVENT
        try:
            if name == measured.SEARCH:
                calls.search(self, self.question(), due)
            else:
                calls.ask(self, self.question(), due)
        except gevent.GreenletExit:
            calls.event(self, name, time.perf_counter() - due, calls.Refused("unanswered at the end"))

    def on_stop(self) -> None:
        self.open.join(LAST_SECONDS)
        self.open.kill()


BY_KIND: Final[dict[str, list[type[TealUser]]]] = {
    "users": [Searcher, Asker, Conversation, Uploader, HealthProbe],
    "arrivals": [Source],
}
