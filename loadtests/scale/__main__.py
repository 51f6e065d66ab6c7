"""Plans the resources of a service of any size:
`python -m loadtests.scale [--passages 5e6 --rate 200] [--growth artifacts/growth.json] [--json]`

Prints shards, nodes, pods, workers, price and times for 1 million to 1 billion passages and 10 to 10,000 questions a second, with the limit
that is reached first. docs/scale.md explains what is included and what is not.
Exit 0; 1: docs/scale.md differs (--check); 2: bad input.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from loadtests.scale import check, report
from loadtests.scale.inputs import INPUTS, NotAGrowthRun, with_growth
from loadtests.scale.plan import Plan, Units, plans, read_units

SIZES: Final = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
RATES: Final = (10.0, 100.0, 1_000.0, 10_000.0)
PICTURE: Final = Path("artifacts/scale.svg")  # docs/scale.svg is a copy
UNITS_SECONDS: Final = 60  # it imports pydantic and reads a table: under 1 s on a quiet machine


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.scale", description=__doc__)
    parser.add_argument("--passages", type=_positive, action="append", help="a size of your own, such as 5e6; may be repeated")
    parser.add_argument("--rate", type=_positive, action="append", help="new questions a second; may be repeated")
    parser.add_argument("--dimensions", type=_positive, help="of a passage's vector; this project's model makes 384, Titan 1024")
    parser.add_argument("--growth", type=Path, help="a run of `python -m loadtests.growth`, whose figures replace this project's")
    parser.add_argument("--region", default="us-east-1", help="whose prices")
    parser.add_argument("--json", action="store_true", dest="as_json", help="machine-readable, with every input and its source")
    parser.add_argument("--check", type=Path, metavar="FILE", help="exit 1 unless FILE holds this very table and these inputs")
    options = parser.parse_args(arguments)
    try:
        inputs = with_growth(INPUTS, options.growth) if options.growth else INPUTS
        if options.dimensions:
            inputs = replace(inputs, dimensions=replace(inputs.dimensions, value=options.dimensions))
        units = units_of(options.region)
    except (NotAGrowthRun, NoUnits) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    found = plans([round(one) for one in options.passages or SIZES], options.rate or RATES, inputs, units)
    if options.check:
        return checked(options.check, (report.markdown(found), report.sources(inputs)))
    if options.as_json:
        rows = [dataclasses.asdict(one) | {"first_limit": dataclasses.asdict(one.first_limit)} for one in found]
        sys.stdout.write(json.dumps({"inputs": dataclasses.asdict(inputs), "plans": rows}, indent=1) + "\n")
        return 0
    sys.stdout.write(f"{report.table(found)}\n\n{_said(found)}\n")
    if options.growth:
        sys.stdout.write(f"\nthe arithmetic beside that run:\n\n{check.markdown(check.compare(options.growth, inputs))}\n\n")
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(report.picture(found), encoding="utf-8")
    sys.stdout.write(f"the picture: {PICTURE}; every input with its source: --json, docs/scale.md\n")
    return 0


class NoUnits(RuntimeError):
    """`python -m infra.cost.units` failed; the text says why."""


def units_of(region: str) -> Units:
    """Prices and limits from `python -m infra.cost.units`. Raises `NoUnits`."""
    command = [sys.executable, "-m", "infra.cost.units", "--region", region]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=UNITS_SECONDS)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise NoUnits(
            f"`python -m infra.cost.units` said nothing for {UNITS_SECONDS} s. Run it again when the machine is less busy."
        ) from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise NoUnits(f"`python -m infra.cost.units` failed: {last}. Run this in the project's folder, after `make up`.")
    return read_units(json.loads(done.stdout))


def checked(path: Path, parts: Sequence[str]) -> int:
    """Compare the file with what this program computes; returns the exit code."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"{path} cannot be read: {error.strerror}\n")
        return 2
    if all(part in text for part in parts):
        return 0
    sys.stderr.write(f"{path} differs from what `python -m loadtests.scale` computes. These parts belong there:\n\n")
    sys.stderr.write("\n\n".join(part for part in parts if part not in text) + "\n")
    return 1


def _said(found: Sequence[Plan]) -> str:
    """The main conclusion in one or two sentences."""
    over = [one for one in found if one.first_limit.used > 1]
    if not over:
        return "Every one of these can be built with the configuration as it is."
    first = over[0]
    return (
        f"{len(over)} of {len(found)} cannot be built with the configuration as it is. The first, {report.quantity(first.passages)} passages "
        f"at {first.per_second:,.0f} questions/s, meets {first.first_limit.why} ({first.first_limit.name})."
    )


def _positive(text: str) -> float:
    number = float(text)
    if not 1 <= number <= 1e12:  # a larger number is unrealistic, and computing its shards would take minutes
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 1e12")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
