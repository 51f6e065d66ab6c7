"""Load tests: `python -m loadtests run smoke --host https://localhost:8443`, `python -m loadtests shapes`, `python -m loadtests report --out FOLDER`.

JSON lines out. Exit 0: every threshold kept; 1: one breached, or the run failed; 2: bad input; 4: too few samples to say.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from loadtests import evaluate, preflight, questions, report, thresholds
from loadtests.measured import Result, Seen
from loadtests.shapes import SHAPES

KEYS: Final = "TEAL_LOAD_KEYS"  # in the environment, because arguments are seen by everybody on the machine
HEADERS: Final = "TEAL_LOAD_HEADERS"  # JSON, in the environment for the same reason: what a release sends to reach one color
EXIT: Final = {"kept": 0, "breached": 1, "too few": 4}
LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")
STOP_SECONDS: Final = 15  # for users in the middle of an answer when the shape is over


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="Send a shape of load and judge it.")
    run.add_argument("shape", choices=sorted(SHAPES))
    run.add_argument("--host", required=True, help="Address of the service, such as https://localhost:8443.")
    run.add_argument("--ca", type=Path, help="PEM file to verify its certificate against; default: the system's.")
    run.add_argument("--workers", type=int, default=0, metavar="N", help="Locust's worker processes; 0: one process does all.")
    run.add_argument("--ui", action="store_true", help="Locust's page on 127.0.0.1:8089 while it runs; Ctrl-C ends it.")
    run.add_argument("--scale", type=float, default=1.0, help="Multiple of the shape's users or requests a second.")
    run.add_argument("--seconds", type=float, default=0.0, help="Length of the whole shape; 0: its own.")
    run.add_argument("--questions", type=Path, default=questions.DEFAULT, help='JSON lines {"question", "source"?}.')
    for one in (run, commands.add_parser("report", help="Judge a run again, and write its page again.")):
        one.add_argument("--out", type=Path, required=True, help="Folder of the run: measured.json, result.json, index.html.")
        one.add_argument("--thresholds", type=Path, default=thresholds.DEFAULT)
        one.add_argument("--baseline", type=Path, help="result.json of an earlier run to compare with.")
        one.add_argument("--about", type=json.loads, default={}, help="JSON object: what the numbers hold for.")
    commands.add_parser("shapes", help="The shapes, as JSON lines.")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """See the module's own words."""
    options = arguments(given)
    if options.command == "shapes":
        for shape in SHAPES.values():
            tell({**asdict(shape), "seconds": shape.seconds})
        return 0
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        baseline = read(options.baseline) if options.baseline else None
        if options.command == "run":
            thresholds.load(options.thresholds, options.shape)  # a wrong file is said before anything is sent
            keys = os.environ.get(KEYS, "")
            if not keys:
                raise ValueError(f"{KEYS} is not set: API keys with the role writer, comma between")
            found = preflight.check(options.host, options.ca, headers_of(keys.split(",")[0]), questions.load(options.questions))
            options.about |= {"questions": found, "workers": options.workers, "scale": options.scale}
            if (code := locust(options)) != 0:
                log = str(options.out / "locust.log")
                tell({"error": {"code": "locust-failed", "what": f"Locust ended with {code}", "where": log}})
                return 1
        elif (earlier := options.out / "result.json").is_file():
            options.about = read(earlier).about | options.about
        measured = read(options.out / "measured.json")
        rows = thresholds.load(options.thresholds, measured.shape)
    except (ValueError, OSError, preflight.NotReady) as error:
        tell({"error": {"code": "bad-input", "what": str(error), "where": "python -m loadtests"}})
        return 2
    return finish(options, measured, rows, baseline)


def finish(options: argparse.Namespace, measured: Result, rows: Sequence[thresholds.Threshold], baseline: Result | None) -> int:
    """Judge, write result.json and index.html, say what came out."""
    result = evaluate.evaluate(measured, rows, seen(options.out / "seen.jsonl"), options.about)
    (options.out / "result.json").write_text(result.model_dump_json(), encoding="utf-8")
    (options.out / "index.html").write_text(report.page(result, baseline), encoding="utf-8")
    for verdict in result.verdicts:
        tell({"step": "threshold", **verdict})
    for failure in result.failures:
        tell({"step": "failure", **failure.model_dump()})
    tell({"step": "result", "outcome": result.outcome, "page": str(options.out / "index.html"), "result": str(options.out / "result.json"),
          "summary": report.summary(result)})  # fmt: skip
    return EXIT[result.outcome]


def locust(options: argparse.Namespace) -> int:
    """Run Locust's own command, with its own workers; pass on the lines that the locustfile tells. Its exit code; 0 whatever was counted."""
    command = [sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--host", options.host, "--load-shape", options.shape,
               "--load-scale", str(options.scale), "--load-seconds", str(options.seconds), "--load-questions", str(options.questions.resolve()),
               "--load-out", str(options.out.resolve()), "--stop-timeout", str(STOP_SECONDS), "--exit-code-on-error", "0", "--only-summary",
               "--loglevel", "WARNING", *(("--load-ca", str(options.ca.resolve())) if options.ca else ())]  # fmt: skip
    command += ["--web-host", "127.0.0.1", "--autostart"] if options.ui else ["--headless"]
    command += ["--processes", str(options.workers)] if options.workers else []
    (options.out / "measured.json").unlink(missing_ok=True)
    with (options.out / "locust.log").open("w", encoding="utf-8") as log:
        # A group of its own: Ctrl-C reaches this process alone, which then asks Locust to finish as it would at the end.
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)  # noqa: S603

        def ask_to_end(*_: Any) -> None:
            process.terminate()

        before = {number: signal.signal(number, ask_to_end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for line in process.stdout or ():
                if line.startswith('{"step"'):
                    sys.stdout.write(line)
                    sys.stdout.flush()
            code = process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    return code if not (options.out / "measured.json").is_file() else 0


def headers_of(key: str) -> dict[str, str]:
    """Of each request. Raises ValueError for a variable that holds no JSON object."""
    return {**json.loads(os.environ.get(HEADERS) or "{}"), "Authorization": f"Bearer {key}"}


def read(path: Path) -> Result:
    """Raises ValueError for a file that is no result."""
    try:
        return Result.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{path} is no result of a load test: {error.errors()[0]['msg']}") from error


def seen(path: Path) -> list[Seen]:
    """What the operator's command wrote beside the run; nothing where it wrote nothing."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [Seen.model_validate_json(line) for line in lines if line.endswith("}")]  # the last one may be cut off


def tell(row: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
