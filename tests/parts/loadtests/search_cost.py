"""What a search costs the generator in CPU time, beside the same request by a plain FastHttpUser of Locust: one JSON line.

`python -m tests.parts.loadtests.search_cost URL QUESTIONS`. A process of its own, because Locust patches sockets.
"""

from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import gevent  # noqa: E402
from locust.argument_parser import get_parser  # noqa: E402
from locust.contrib.fasthttp import FastHttpUser  # noqa: E402
from locust.env import Environment  # noqa: E402

import loadtests.locustfile  # noqa: E402, F401 - its listeners add the options
from loadtests.users import Source  # noqa: E402

ROUNDS = 9  # alternating, so that what else runs on the machine meets both
REQUESTS = 100  # of a round


def main(url: str, questions: str) -> None:
    given = get_parser().parse_args(["--host", url, "--load-keys", "key", "--load-questions", questions])
    environment = Environment(user_classes=[Source, FastHttpUser], host=url, parsed_options=given)
    environment.create_local_runner()
    for user in (Source, FastHttpUser):
        user.host = url
    ours, plain = Source(environment), FastHttpUser(environment)

    # Each in a greenlet of its own, as arrivals are: that costs the same whoever sends, 0.04 ms.
    def search() -> None:
        gevent.spawn(ours.one, "search", time.perf_counter()).join()

    def post() -> None:
        gevent.spawn(plain.client.post, "/v1/search", json={"query": "How can I send an email?", "top_k": 10}).join()

    for each in (search, post):
        _cpu_ms(each)  # connections, caches
    pairs = [(_cpu_ms(search), _cpu_ms(post)) for _ in range(ROUNDS)]
    # The least of each: what else runs on the machine makes every request dearer, by empty caches, and none cheaper.
    search_ms, plain_ms = (min(each) for each in zip(*pairs, strict=True))
    print(json.dumps({"search_ms": search_ms, "plain_ms": plain_ms, "ratio": search_ms / plain_ms}), flush=True)


def _cpu_ms(each: Callable[[], None]) -> float:
    """CPU milliseconds of this process for one request."""
    began = time.process_time()
    for _ in range(REQUESTS):
        each()
    return (time.process_time() - began) / REQUESTS * 1000


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
