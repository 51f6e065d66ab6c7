"""Runs each reproducer alone, one after the other in one Locust process, and prints what it counted beside what the service saw, as JSON lines.

`python -m tests.parts.loadtests.each_alone SECONDS QUESTIONS NAME=URL...`. A process of its own, because Locust patches sockets.
"""

from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402
import urllib.request  # noqa: E402

import gevent  # noqa: E402
from locust.argument_parser import get_parser  # noqa: E402
from locust.env import Environment  # noqa: E402

import loadtests.locustfile  # noqa: E402, F401 - its listeners add the options
from loadtests import options, shapes, table  # noqa: E402
from loadtests.generator import GatheredCounts  # noqa: E402
from loadtests.meter import METER  # noqa: E402
from loadtests.recorder import Recorder  # noqa: E402
from loadtests.timetable import Timetable  # noqa: E402

USERS = 3


def main(seconds: float, questions: str, places: list[str]) -> None:
    for name, _, url in (place.partition("=") for place in places):
        given = get_parser().parse_args(
            ["--host", url, "--load-keys", "one,two", "--load-questions", questions, "--load-shape", name]
        )
        everybody = list(table.EVERYBODY.values())
        environment = Environment(
            user_classes=everybody, host=url, parsed_options=given, stop_timeout=15.0, shape_class=table.Table()
        )
        shape = options.chosen_shape(environment)
        environment.user_classes = table.classes_of(environment, shape)
        options.resolve(environment, shape)
        runner = environment.create_local_runner()
        METER.reset()
        urllib.request.urlopen(f"{url}/seen").read()
        sends = [each for user in environment.user_classes for each in user.sends]
        recorder = Recorder(
            environment, Timetable(shapes.plain_shape(USERS, seconds)), GatheredCounts(environment), sends, lambda _: None
        )
        recorder.start()
        runner.start(USERS, USERS)
        gevent.sleep(seconds)
        runner.stop()  # waits for what is open
        result = recorder.finish()
        runner.quit()
        print(json.dumps({
            "shape": name, "users": [user.__name__ for user in environment.user_classes], "exceptions": len(result.exceptions),
                    "failures": [one.model_dump() for one in result.failures],
            "totals": {name: [count.requests, count.failed] for name, count in result.totals.items()},
            "seen": json.loads(urllib.request.urlopen(f"{url}/seen").read()),
        }), flush=True)  # fmt: skip


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2], sys.argv[3:])
