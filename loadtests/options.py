"""Load options of Locust's own command. Each has a LOCUST_* variable, as Locust's options have; workers get their values from the master."""

from __future__ import annotations

import argparse
import copy
import functools
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from loadtests import descriptors, questions, shapes, thresholds
from loadtests.checked import certificates, file_of, json_object, not_negative, positive, read_result, whole
from loadtests.shapes import NONE, Shape

OUT: Final = "artifacts/load"
# Options that change the shape, and that the page can change.
ON_THE_PAGE: Final[Mapping[str, Callable[[str], Any]]] = {
    "load_shape": str,
    "load_scale": positive,
    "load_seconds": not_negative,
    "load_repeat": whole,
    "load_warm_up": float,
}


def add_options(parser: LocustArgumentParser) -> None:
    """Add the options without a group, because Locust's groups support neither `is_secret` nor the page."""

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
    option("--load-scale", 1.0, "Multiple of the shape's users or requests a second.", page=True, type=positive)
    option("--load-seconds", 0.0, "Length of one pass through the shape; 0: its own.", page=True, type=not_negative)
    option("--load-repeat", 0, "Passes through the shape, for a confidence interval; 0: the shape's own.", page=True, type=whole)
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
    option("--load-headers", "{}", "JSON: more headers.", is_secret=True, type=json_object)
    option("--load-host-header", "", "Host header, where --host is an address inside the cluster.", page=True)
    option("--load-ca", "", "PEM file to verify the service's certificate against.", type=file_of(certificates))
    option("--load-questions", str(questions.DEFAULT), "JSON lines of questions.", type=file_of(questions.load_questions))
    # The service sends a heartbeat every 15 s, so three in a row are missing.
    option("--load-silence-seconds", 45.0, "A connection on which nothing comes for so long has failed.", type=positive)
    option("--load-thresholds", str(thresholds.DEFAULT), "YAML file of what must be kept.", type=file_of(thresholds.read_rules))
    option("--load-baseline", "", "result.json of an earlier run, which gates this one.", type=file_of(read_result))
    option("--load-history", "", "JSON lines file to which each result is added.")
    option("--load-about", "{}", "JSON: what the numbers hold for.", type=json_object)
    option("--load-out", OUT, "Folder in which each run gets a folder.")
    option("--load-metrics-port", 0, "Port on which /metrics is served besides the page's; 0: none.", type=whole)
    option("--load-metrics-address", "127.0.0.1", "Address of that port.")
    option("--load-name", "", "Name of the first run's folder; default: its time and shape.")
    option("--load-resolved", "{}", argparse.SUPPRESS)  # values that the master resolved, for its workers


def list_options() -> list[dict[str, Any]]:
    """Each of these options with its variable, because Locust's own --help does not show the options of a locustfile."""
    parser = LocustArgumentParser(add_help=False)
    add_options(parser)
    return [{"option": one.option_strings[0], "variable": str(getattr(one, "env_var", "")), "default": one.default, "says": one.help,
             **({"choices": list(one.choices)} if one.choices else {})}
            for one in parser._actions if one.option_strings and one.help != argparse.SUPPRESS]  # fmt: skip


def _own_shapes() -> str:
    """The path of the file of shapes, read before the other options, because it defines the valid shapes."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--load-shapes", default=os.environ.get("LOCUST_LOAD_SHAPES", ""))
    return str(first.parse_known_args(sys.argv[1:])[0].load_shapes)


def chosen_shape(environment: Environment) -> Shape:
    """The shape to run, from the options. Raises ValueError for an invalid scale or time."""
    return shape_from(environment.parsed_options)


def shape_from(given: Any) -> Shape:
    """The same from parsed options."""
    if given.load_shape == NONE:
        found = shapes.plain_shape(given.num_users or 1, float(given.run_time) if given.run_time else None)
    else:
        path = Path(given.load_shapes) if given.load_shapes else None
        found = _named_shape(given.load_shape, path).scaled(given.load_scale, given.load_seconds or None)
    return replace(
        found,
        arrivals=given.load_arrivals or found.arrivals,
        repeat=given.load_repeat or found.repeat,
        warm_up_seconds=found.warm_up_seconds if given.load_warm_up < 0 else given.load_warm_up,
    )


# Read once: Locust asks for the shape each second, when users may hold every descriptor, or somebody edits the file.
_named_shape = functools.cache(shapes.find_shape)


def form_refusal(given: Any, form: Mapping[str, str], *, sends: bool = True) -> str:
    """Why a form of Locust's page cannot be run; empty when it can.
    Locust itself only converts the values without checking them. `sends`: this process has users, so its limit of open files counts."""
    wanted = copy.copy(given)
    wanted.num_users = int(form.get("user_count") or given.num_users or 1)
    for name, read in ON_THE_PAGE.items():
        try:
            setattr(wanted, name, read(form[name]) if name in form else getattr(given, name))
        except (ValueError, argparse.ArgumentTypeError) as error:
            return f"--{name.replace('_', '-')}: {error}"
    try:
        shape = shape_from(wanted)
        return shape.too_short() or (descriptors.too_few(shape) if sends else "")
    except ValueError as error:
        return str(error)


@dataclass(frozen=True, slots=True)
class ResolvedOptions:
    """The options that users need in every process: limits of a good answer in seconds, how requests arrive, and for how long."""

    slos: dict[str, float]
    mix: dict[str, float]
    arrivals: str
    seconds: float


def resolve(environment: Environment, shape: Shape) -> None:
    """Resolve the options in the process that starts a run, before its users start."""
    given: Any = environment.parsed_options
    slos = thresholds.read_rules(Path(given.load_thresholds)).slos()
    mix = dict(shape.mix) if shape.kind == "arrivals" else {}
    # Nobody knows how long the waits between climbs take, so there the users are sent away, and no source ends by itself.
    seconds = float("inf") if shape.each_stage and shape.repeat > 1 else shape.seconds
    given.load_resolved = json.dumps(asdict(ResolvedOptions(slos, mix, shape.arrivals, seconds)))


@functools.cache
def resolved_options(text: str) -> ResolvedOptions:
    """Parse the option's value, which is the same for all users of a run."""
    return ResolvedOptions(**{"slos": {}, "mix": {}, "arrivals": "constant", "seconds": float("inf"), **json.loads(text)})
