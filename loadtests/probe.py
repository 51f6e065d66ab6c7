"""The probe between two climbs: one search beside the load, in none of its counts, on a connection of its own."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any, Final

import gevent
import httpx
from locust.env import Environment

from loadtests import calls, measured, questions
from loadtests.users import tls_context

TIMEOUT_SECONDS: Final = 5.0  # ten times the limit of a search: a slower answer is a bad one anyway


class Probe:
    """Searches once a call. `limit_seconds`: an answer that takes longer is a bad one."""

    def __init__(self, environment: Environment, limit_seconds: float) -> None:
        given: Any = environment.parsed_options
        self._url, self._limit_seconds = f"{str(environment.host).rstrip('/')}/v1/search", limit_seconds
        self._verify = tls_context(given.load_ca)
        self._headers = {**json.loads(given.load_headers), "Authorization": f"Bearer {given.load_keys.split(',')[0]}"}
        if given.load_host_header:
            self._headers["Host"] = given.load_host_header
        self._asked = questions.load_questions(Path(given.load_questions))

    def __call__(self) -> float | None:
        """Milliseconds; None for a bad or late answer."""
        # A number that no cache has seen, because a cached answer says nothing about a backlog.
        query = f"{random.choice(self._asked).text} {random.getrandbits(64):016x}"  # noqa: S311 - no secret
        began, answer = time.perf_counter(), None
        try:
            # httpx's own limit is for each read, and an answer that trickles would hold up the run.
            with gevent.Timeout(TIMEOUT_SECONDS, False):
                answer = httpx.post(self._url, json={"query": query, "top_k": measured.TOP_K}, headers=self._headers, verify=self._verify,
                                    timeout=TIMEOUT_SECONDS, trust_env=False)  # fmt: skip
        except (httpx.HTTPError, OSError):
            return None
        seconds = time.perf_counter() - began
        good = (
            answer is not None
            and answer.status_code == 200
            and calls.has_hits(answer.content) is None
            and seconds <= self._limit_seconds
        )
        return seconds * 1000 if good else None
