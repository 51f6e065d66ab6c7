"""Load options of Locust's own command. Each has a LOCUST_* variable, as Locust's options have; workers get their values from the master."""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from loadtests import questions, shapes, thresholds
from loadtests.shapes import NONE, Shape

OUT: Final = "artifacts/load"


def add_options(parser: LocustArgumentParser) -> None:
    """No group of their own: Locust's groups know neither `is_secret` nor the page."""

    def option(name: str, default: Any, says: str, *, page: bool = False, **more: Any) -> None:
        variable = "LOCUST_" + name.removeprefix("--").replace("-", "_").upper()
        parser.add_argument(name, env_var=variable, default=default, help=says, include_in_web_ui=page, **more)

    own = _own_shapes()
    try:
        known = [NONE, *shapes.load_shapes(Path(own) if own else None)]
    except (ValueError, OSError) as error:
        parser.error(str(error))  # type: ignore[no-untyped-call]
    option(
        "--load-shape",
        NONE,
        "What load, and when. none: Locust's own --users, --spawn-rate and --run-time.",
        page=True,
        choices=known,
    )
    option("--load-shapes", "", "YAML file with shapes of your own (docs/load.md).")
    option("--load-scale", 1.0, "Multiple of the shape's users or requests a second.", page=True, type=float)
    option("--load-seconds", 0.0, "Length of one pass through the shape; 0: its own.", page=True, type=float)
    option("--load-repeat", 0, "Passes through the shape, for a confidence interval; 0: the shape's own.", page=True, type=int)
    option(
        "--load-warm-up", -1.0, "Seconds before the first stage that are not judged; -1: the shape's own.", page=True, type=float
    )
    option(
        "--load-arrivals",
        "",
        "How requests arrive: constant or poisson; default: the shape's own.",
        page=True,
        choices=["", "constant", "poisson"],
    )
    option("--load-keys", None, "API keys, comma between.", is_secret=True, required=True)
    option("--load-headers", "{}", "JSON: more headers.", is_secret=True)
    option("--load-host-header", "", "Host header, where --host is an address inside the cluster.", page=True)
    option("--load-ca", "", "PEM file to verify the service's certificate against.")
    option("--load-questions", str(questions.DEFAULT), "JSON lines of questions.")
    # The service sends a heartbeat every 15 s, so three in a row are missing.
    option("--load-silence-seconds", 45.0, "A connection on which nothing comes for so long has failed.", type=float)
    option("--load-thresholds", str(thresholds.DEFAULT), "YAML file of what must be kept.")
    option("--load-baseline", "", "result.json of an earlier run, which gates this one.")
    option("--load-history", "", "JSON lines file to which each result is added.")
    option("--load-about", "{}", "JSON: what the numbers hold for.")
    option("--load-out", OUT, "Folder in which each run gets a folder.")
    option("--load-name", "", "Name of the first run's folder; default: its time and shape.")
    option("--load-resolved", "{}", argparse.SUPPRESS)  # what the master worked out, for its workers


def _own_shapes() -> str:
    """The shapes' file, before the other options can be read: it says which shapes there are."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--load-shapes", default=os.environ.get("LOCUST_LOAD_SHAPES", ""))
    return str(first.parse_known_args(sys.argv[1:])[0].load_shapes)


def chosen_shape(environment: Environment) -> Shape:
    """The shape of the options, as it will be run. Without Locust's shape class (its page's "Default") it is the plain one."""
    given: Any = environment.parsed_options
    if given.load_shape == NONE or environment.shape_class is None:
        found = shapes.plain_shape(given.num_users or 1, float(given.run_time) if given.run_time else None)
    else:
        path = Path(given.load_shapes) if given.load_shapes else None
        found = shapes.find_shape(given.load_shape, path).scaled(given.load_scale, given.load_seconds or None)
    return replace(
        found,
        arrivals=given.load_arrivals or found.arrivals,
        repeat=given.load_repeat or found.repeat,
        warm_up_seconds=found.warm_up_seconds if given.load_warm_up < 0 else given.load_warm_up,
    )


@dataclass(frozen=True, slots=True)
class ResolvedOptions:
    """What users must know, wherever they run: limits of a good answer in seconds, how requests arrive, and for how long."""

    slos: dict[str, float]
    mix: dict[str, float]
    arrivals: str
    seconds: float


def resolve(environment: Environment, shape: Shape) -> None:
    """Called where a run is started, before its users are."""
    given: Any = environment.parsed_options
    slos = thresholds.read_rules(Path(given.load_thresholds)).slos()
    mix = dict(shape.mix) if shape.kind == "arrivals" else {}
    given.load_resolved = json.dumps(asdict(ResolvedOptions(slos, mix, shape.arrivals, shape.seconds)))


@functools.cache
def resolved_options(text: str) -> ResolvedOptions:
    """The option's value: the same for all users of a run."""
    return ResolvedOptions(**{"slos": {}, "mix": {}, "arrivals": "constant", "seconds": float("inf"), **json.loads(text)})
