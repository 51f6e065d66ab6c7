"""Loads the service that breaks on purpose once for each seed, in one Locust process, and prints its counts beside the report's as JSON lines.

`python -m tests.parts.loadtests.count_seeds URL SEEDS PER_SECOND SECONDS`. A process of its own, because Locust patches sockets.
"""

from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import urllib.request  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402
from locust.argument_parser import get_parser  # noqa: E402
from locust.env import Environment  # noqa: E402

import loadtests.locustfile  # noqa: E402, F401 - its listeners add the options
from loadtests import evaluate, options, report, thresholds  # noqa: E402
from loadtests.generator import GatheredCounts  # noqa: E402
from loadtests.meter import METER  # noqa: E402
from loadtests.recorder import Recorder  # noqa: E402
from loadtests.shapes import Shape, ShapeStage  # noqa: E402
from loadtests.timetable import Timetable  # noqa: E402
from loadtests.users import Source  # noqa: E402

SILENCE_SECONDS = 1.0


def main(url: str, seeds: int, per_second: int, seconds: float) -> None:
    given = get_parser().parse_args(["--host", url, "--load-keys", "key", "--load-silence-seconds", str(SILENCE_SECONDS)])
    given.load_questions = str(Path(sys.argv[5]))
    for seed in range(seeds):
        urllib.request.urlopen(urllib.request.Request(f"{url}/seed/{seed}", method="POST")).read()
        environment = Environment(user_classes=[Source], host=url, parsed_options=given, stop_timeout=5.0)
        shape = Shape("release", "arrivals", "", (ShapeStage(seconds, per_second),), {"search": 0.6, "ask": 0.4})
        options.resolve(environment, shape)
        runner = environment.create_local_runner()
        METER.reset()
        Source.until = time.perf_counter() + seconds
        recorder = Recorder(environment, Timetable(shape), GatheredCounts(environment), Source.sends, lambda _: None)
        recorder.start()
        runner.start(per_second, per_second)
        gevent.sleep(seconds)
        runner.stop()  # waits for what is open
        result = evaluate.with_verdicts(recorder.finish(), thresholds.read_rules(thresholds.DEFAULT), [], {})
        runner.quit()
        counts = json.loads(urllib.request.urlopen(f"{url}/counts").read())
        sys.stdout.write(json.dumps({
            "seed": seed, "server": counts, "exceptions": [one.model_dump() for one in result.exceptions],
            "sent": {one.name: [one.sent, one.answered, one.unanswered] for one in report.request_totals(result)},
            "totals": {name: [count.requests, count.failed] for name, count in result.totals.items()},
            "failures": {f"{one.requests}: {one.reason}": one.count for one in result.failures},
            "slow_searches": result.totals["search"].later_than(250),
        }) + "\n")  # fmt: skip
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
