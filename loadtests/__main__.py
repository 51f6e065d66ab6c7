"""Load tests: `python -m loadtests run smoke --host https://localhost:8443`, `python -m loadtests shapes`, `python -m loadtests report --out FOLDER`.

JSON lines out. What follows `--` goes to Locust as it is: users' classes, -u, -r, -t, --tags, --csv, --html, --load-repeat and all others.
Exit 0: every threshold kept; 1: one breached, or the run failed; 2: bad input; 4: too few samples to say, or a generator that was late; 130: interrupted.
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

from loadtests import descriptors, evaluate, history, preflight, questions, report, shapes, thresholds
from loadtests.checked import read_result
from loadtests.loopback import free_port
from loadtests.measured import LoadTestResult, ServiceObservation
from loadtests.shapes import NONE

KEYS: Final = "LOCUST_LOAD_KEYS"  # in the environment, because any process on the machine can read arguments
HEADERS: Final = "LOCUST_LOAD_HEADERS"  # JSON; the headers with which a release reaches one color
EXIT: Final = {"kept": 0, "breached": 1, "failed": 1, "too few": 4, "void": 4}
INTERRUPTED: Final = 130  # as shells report a process that Ctrl-C ended
LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="Send a shape of load and judge it.")
    run.add_argument("shape", help="`python -m loadtests shapes` prints them; none: Locust's own -u, -r and -t, after `--`.")
    run.add_argument("--shapes", type=Path, help="YAML file with shapes of your own.")
    run.add_argument("--host", required=True, help="Address of the service, such as https://localhost:8443.")
    run.add_argument("--ca", type=Path, help="PEM file to verify its certificate against; default: the system's.")
    run.add_argument("--workers", type=int, default=0, metavar="N", help="Locust's worker processes; 0: one process does all.")
    run.add_argument("--ui", action="store_true", help="Locust's page on 127.0.0.1:8089 while it runs; Ctrl-C ends it.")
    run.add_argument("--scale", type=float, default=1.0, help="Multiple of the shape's users or requests a second.")
    run.add_argument("--seconds", type=float, default=0.0, help="Length of one pass through the shape; 0: its own.")
    run.add_argument("--questions", type=Path, default=questions.DEFAULT, help='JSON lines {"question", "source"?}.')
    run.epilog = "What follows -- are options and user classes for Locust."
    for one in (run, commands.add_parser("report", help="Judge a run again, and write its page again.")):
        one.add_argument("--out", type=Path, required=True, help="Folder of the run: measured.json, result.json, index.html.")
        one.add_argument("--thresholds", type=Path, default=thresholds.DEFAULT)
        one.add_argument("--baseline", type=Path, help="result.json of an earlier run: p95 above 1.3 times its own is a breach.")
        one.add_argument(
            "--history", type=Path, help="JSON lines file of earlier results: this one is added, and all are plotted."
        )
        one.add_argument("--about", type=json.loads, default={}, help="JSON object: what the numbers hold for.")
    commands.add_parser("options", help="The load options of Locust's own command and their variables, as JSON lines.")
    listed = commands.add_parser("shapes", help="The shapes, as JSON lines.")
    listed.add_argument("--shapes", type=Path, help="YAML file with shapes of your own.")
    words = list(sys.argv[1:] if given is None else given)
    end = words.index("--") if "--" in words else len(words)  # argparse itself loses the arguments after options and a `--`
    found = parser.parse_args(words[:end])
    found.locust = words[end + 1 :]
    if found.locust and found.command != "run":
        parser.error(f"{found.command} takes nothing after --")
    return found


def main(given: Sequence[str] | None = None) -> int:
    """The command; see the module's docstring. Returns its exit code."""
    options = arguments(given)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # until Locust runs, SIGTERM acts like Ctrl-C
    try:
        if options.command == "shapes":
            for shape in shapes.load_shapes(options.shapes).values():
                show_progress({**asdict(shape), "seconds": shape.seconds})
            return 0
        if options.command == "options":
            from loadtests.options import list_options  # Locust changes how sockets work as soon as it is imported

            for row in list_options():
                show_progress(row)
            return 0
        baseline = read_result(options.baseline) if options.baseline else None
        rules = thresholds.read_rules(options.thresholds)
        if options.command == "run":
            check(options)
            return locust(options)
        if (earlier := options.out / "result.json").is_file():
            options.about = read_result(earlier).about | options.about
        return finish(options, read_result(options.out / "measured.json"), rules, baseline)
    except KeyboardInterrupt:
        return interrupted(options)
    except (ValueError, OSError, preflight.NotReady) as error:
        show_progress({"error": {"code": "bad-input", "what": str(error), "where": "python -m loadtests"}})
        return 2
    finally:
        signal.signal(signal.SIGTERM, before)


def interrupted(options: argparse.Namespace) -> int:
    show_progress(
        {"error": {"code": "interrupted", "what": "Interrupted before anything was measured", "where": str(options.out)}}
    )
    return INTERRUPTED


def check(options: argparse.Namespace) -> None:
    """Check all options before anything is sent or written. Raises ValueError and NotReady."""
    if not os.environ.get(KEYS):
        raise ValueError(f"{KEYS} is not set: API keys with the role writer, comma between")
    if options.shape != NONE:
        shape = shapes.find_shape(options.shape, options.shapes).scaled(options.scale, options.seconds or None)
        if said := shape.too_short() or descriptors.too_few(shape, options.workers):
            raise ValueError(said)
    found = preflight.check(
        options.host, options.ca, headers_of(os.environ[KEYS].split(",")[0]), questions.load_questions(options.questions)
    )
    options.about |= {"questions": found}


def finish(
    options: argparse.Namespace, measured: LoadTestResult, rules: thresholds.ThresholdFile, baseline: LoadTestResult | None
) -> int:
    """Judge the run, write result.json and index.html, print the outcome."""
    result = evaluate.with_verdicts(measured, rules, service_observations(options.out / "seen.jsonl"), options.about, baseline)
    (options.out / "result.json").write_text(result.model_dump_json(), encoding="utf-8")
    earlier = history.append_run(options.history, result) if options.history else []
    (options.out / "index.html").write_text(report.report_page(result, baseline, earlier), encoding="utf-8")
    for verdict in result.verdicts:
        show_progress({"step": "threshold", **verdict})
    for failure in result.failures:
        show_progress({"step": "failure", **failure.model_dump()})
    show_progress({"step": "result", "outcome": result.outcome, "why": result.why, "interrupted": result.interrupted,
          "page": str(options.out / "index.html"), "result": str(options.out / "result.json"),
          "goodput": result.goodput.model_dump() if result.goodput else None, "summary": report.report_summary(result)})  # fmt: skip
    return EXIT[result.outcome]


def own_workers(count: int) -> list[str]:
    """Locust's options for worker processes of this machine. Its fixed port would let only one run at a time begin, and be open to the network."""
    port = str(free_port())
    return ["--processes", str(count), "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]


def locust(options: argparse.Namespace) -> int:
    """Run Locust's own command with its own workers, and pass on the lines that the locustfile prints; returns its exit code."""
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "measured.json").unlink(missing_ok=True)
    (options.out / "result.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--host", options.host, "--load-shape", options.shape,
               "--load-scale", str(options.scale), "--load-seconds", str(options.seconds),
               "--load-questions", str(options.questions.resolve()), "--load-thresholds", str(options.thresholds.resolve()),
               "--load-out", str(options.out.resolve().parent), "--load-name", options.out.resolve().name,
               "--load-about", json.dumps(options.about), "--only-summary", "--loglevel", "WARNING"]  # fmt: skip
    for name, path in (
        ("ca", options.ca),
        ("shapes", options.shapes),
        ("baseline", options.baseline),
        ("history", options.history),
    ):
        command += [f"--load-{name}", str(path.resolve())] if path else []
    command += ["--web-host", "127.0.0.1", "--autostart"] if options.ui else ["--headless"]
    command += own_workers(options.workers) if options.workers else []
    command += options.locust
    asked_to_end = False
    with (options.out / "locust.log").open("w", encoding="utf-8") as log:
        # A process group of its own: Ctrl-C reaches only this process, which then asks Locust to finish in the normal way.
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)  # noqa: S603

        def ask_to_end(*_: Any) -> None:
            """Ask Locust to end, only once: the end takes some seconds,
            and a second signal within them would lose the measurements."""
            nonlocal asked_to_end
            if not asked_to_end:
                asked_to_end = True
                process.terminate()

        before = {number: signal.signal(number, ask_to_end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for line in process.stdout or ():
                if line.startswith(('{"step"', '{"error"')):
                    sys.stdout.write(line)
                    sys.stdout.flush()
            code = process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    if not (options.out / "result.json").is_file():
        if asked_to_end:
            return interrupted(options)
        said = (options.out / "locust.log").read_text(encoding="utf-8").strip().splitlines()[-1:]
        what = f"Locust ended with {code}: {' '.join(said)}"
        show_progress({"error": {"code": "locust-failed", "what": what, "where": str(options.out / "locust.log")}})
        return 2 if code == 2 else 1
    # The exit code follows the result, because with its page Locust sets its own before the run is judged.
    result = read_result(options.out / "result.json")
    return INTERRUPTED if result.interrupted else EXIT[result.outcome]


def headers_of(key: str) -> dict[str, str]:
    """The headers of each request. Raises ValueError for a variable that is no JSON object."""
    return {**json.loads(os.environ.get(HEADERS) or "{}"), "Authorization": f"Bearer {key}"}


def service_observations(path: Path) -> list[ServiceObservation]:
    """The observations that the operator's command wrote beside the run; empty if it wrote none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [ServiceObservation.model_validate_json(line) for line in lines if line.endswith("}")]  # the last one may be cut off


def show_progress(row: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
