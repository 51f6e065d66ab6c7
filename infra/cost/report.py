"""The monthly price of a stack before it exists: `python -m infra.cost STACK [--load 10] [--json] [--refresh] [--check]`

Line by line from the resources the program registers, at today's traffic or a multiple of it. A price that no list confirms is marked;
a price that nobody knows is shown as unknown and is in no sum. Exit 0; 2: bad input, or with --check a plan above `budget_usd` or with a part
that nobody knows the price of.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from contract.stack_file import NotAStackFile
from infra.config import examples
from infra.config.read import Config, ConfigError, load_config
from infra.config.rules import Refusal
from infra.cost import capacity, prices
from infra.cost.items import DOES_NOT_SCALE, SCALES, Item, PricedResource, items
from infra.cost.needs import StackNeeds, stack_needs
from infra.cost.prices import Price

_SURGE: Final = "a release doubles the service's pods for its duration; that is not in here"


@dataclass(frozen=True)
class BillLine:
    """One line of the bill. `usd` is None when the price or the quantity is unknown. `verified` refers to the unit price."""

    part: str
    key: str
    what: str
    quantity: float | None
    unit: str
    unit_usd: float | None
    usd: float | None
    verified: bool
    source: str
    date: str


@dataclass(frozen=True)
class Bill:
    """All lines of a stack at one load. `usd` is the sum of what is known; `unverified_usd` the part of it that no list confirms."""

    stack: str
    region: str
    load: float
    lines: tuple[BillLine, ...]
    budget_usd: int
    web_replicas: int
    needs: StackNeeds | None = None
    examples: tuple[Refusal, ...] = ()  # example values left in the stack's file, which a real account must not get

    @property
    def usd(self) -> float:
        return sum(line.usd or 0.0 for line in self.lines)

    @property
    def unverified_usd(self) -> float:
        return sum(line.usd or 0.0 for line in self.lines if not line.verified)

    @property
    def unknown(self) -> tuple[BillLine, ...]:
        return tuple(line for line in self.lines if line.usd is None)

    @property
    def unpriced(self) -> tuple[BillLine, ...]:
        """Lines with a known quantity but no known price. They cost something, but are not in the sum."""
        return tuple(line for line in self.lines if line.unit_usd is None and line.quantity is not None)

    @property
    def over_budget(self) -> bool:
        """Whether today's traffic costs more than `budget_usd`. Unknown prices could only add to it."""
        return self.load == 1 and self.usd > self.budget_usd

    def fields(self) -> dict[str, Any]:
        """The bill as JSON-ready data: the lines, the sums, the budget."""
        sums = {
            "usd": round(self.usd, 2),
            "unverified_usd": round(self.unverified_usd, 2),
            "unknown": [one.what for one in self.unknown],
            "unpriced": [one.what for one in self.unpriced],
        }
        return {
            "stack": self.stack, "region": self.region, "load": self.load, "web_replicas": self.web_replicas, **sums, "budget_usd": self.budget_usd,
            "over_budget": self.over_budget, "needs": asdict(self.needs) if self.needs else {},
            "examples": [f"teal:{key}: {problem}. To mend it: {fix}" for key, problem, fix in self.examples], "scales": SCALES, "does_not_scale": DOES_NOT_SCALE, "lines": [asdict(one) for one in self.lines],
        }  # fmt: skip


def monthly_cost(
    resources: Sequence[PricedResource], config: Config, known: Mapping[str, Price], multiple: float = 1
) -> tuple[BillLine, ...]:
    """The lines of a bill, in the order of their parts; `multiple` of today's traffic. Nothing is rounded."""
    found = [_line(item, known.get(item.key)) for item in items(resources, config, prices.machines_usd_an_hour(known), multiple)]
    return tuple(sorted(found, key=lambda line: line.part))


def _line(item: Item, price: Price | None) -> BillLine:
    counted = None if math.isnan(item.quantity) else item.quantity
    what = f"{item.key}: {item.note}" if item.note else item.key
    names = (item.part, item.key, what)
    if price is None:
        return BillLine(*names, counted, "", None, None, False, "unknown", "")
    usd = None if counted is None else counted * price.usd
    return BillLine(*names, counted, price.unit, price.usd, usd, price.verified, price.source, price.date)


def price_stack(stack: str, multiple: float = 1, settings: Mapping[str, object] | None = None) -> Bill:
    """Evaluate the program and price it, as `stack` is configured or with other `settings`, such as those of the last `up`.

    Raises ConfigError, FileNotFoundError for no such stack.
    """
    from infra.evaluation.evaluate import platform, stack_values

    values = stack_values(stack) if settings is None else settings
    config = load_config(values, stack, f"Pulumi.{stack}.yaml")
    resources, known = platform(stack, values).resources, prices.load_prices(config.region)
    lines = monthly_cost(resources, config, known, multiple)
    pods = capacity.replicas(config, multiple)[0]
    wanted = stack_needs(resources, config, prices.machines_usd_an_hour(known))
    return Bill(
        stack,
        config.region,
        multiple,
        lines,
        config.budget_usd,
        pods,
        wanted,
        tuple(examples.leftover_examples(config.document())),
    )


def bill_text(one: Bill) -> str:
    """The bill as text for people: parts, lines, uncertain prices, the budget."""
    rows = [f"{one.stack} in {one.region}, USD a month at {one.load:g}x load"]
    part = ""
    for line in one.lines:
        if line.part != part:
            part = line.part
            subtotal = sum(each.usd or 0.0 for each in one.lines if each.part == part)
            rows.append(f"{part:<52}{subtotal:>12,.2f}")
        usd = "unknown" if line.usd is None else f"{line.usd:,.2f}"
        rows.append(f"  {line.what[:76]:<77}{usd:>11}{'' if line.verified else '  unverified' if line.usd is not None else ''}")
    rows.append(f"{'total of what is known':<52}{one.usd:>12,.2f}")
    rows.append(
        f"  of it unverified (no price list of {one.region} confirms it): {one.unverified_usd:,.2f}; `teal cost {one.stack} --refresh` asks AWS"
    )
    if one.unknown:
        rows.append(f"  not in the total, because unknown: {'; '.join(line.what for line in one.unknown)}")
    if one.needs:
        low, high = one.needs.questions_per_second
        rows.append(f"  carries {low:,} to {high:,} questions a second by the app's CPU (docs/performance.md, Growth)")
    rows.append(f"  grows with load: {SCALES}")
    rows.append(f"  {DOES_NOT_SCALE}; {_SURGE}")
    verdict = (
        "above it"
        if one.over_budget
        else "nobody can say: a price is not known"
        if one.unpriced
        else "within it"
        if one.load == 1
        else "made for 1x"
    )
    rows.append(f"budget_usd {one.budget_usd:,}: {verdict}")
    return "\n".join(rows)


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.cost", description="What a stack will cost a month, line by line.")
    parser.add_argument("stack")
    parser.add_argument("--load", type=float, default=1.0, help="multiple of today's traffic")
    parser.add_argument("--json", action="store_true", dest="as_json")
    parser.add_argument("--refresh", action="store_true", help="ask AWS for this region's prices first (needs credentials)")
    parser.add_argument("--settings", type=Path, help="a JSON file of settings by key, in the place of Pulumi.STACK.yaml's")
    parser.add_argument("--check", action="store_true", help="exit 2 when today's traffic costs more than budget_usd")
    parser.add_argument(
        "--allow-unpriced", action="store_true", help="with --check: accept a plan with a part whose price nobody knows"
    )
    options = parser.parse_args(arguments)
    if not 0 < options.load <= 1_000:
        parser.error("--load is a multiple of today's traffic, above 0 and up to 1000")
    try:
        if options.refresh:
            _refresh(options.stack, options.load)
        settings = json.loads(options.settings.read_text(encoding="utf-8-sig")) if options.settings else None
        found = price_stack(options.stack, options.load, settings) if settings else price_stack(options.stack, options.load)
        today = price_stack(options.stack) if options.check and options.load != 1 else found
    except FileNotFoundError:
        from infra.evaluation.evaluate import stacks

        sys.stderr.write(f"there is no Pulumi.{options.stack}.yaml; stacks: {', '.join(stacks())}\n")
        return 2
    except NotAStackFile as error:
        sys.stderr.write(f"Pulumi.{options.stack}.yaml cannot be read: {error}\n")
        return 2
    except (ConfigError, prices.RefreshError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{json.dumps(found.fields()) if options.as_json else bill_text(found)}\n")
    if options.check and today.unpriced and not options.allow_unpriced:
        sys.stderr.write(
            f"refused: no price is known for {'; '.join(line.what for line in today.unpriced)}, so nobody can say that {options.stack} is"
            f" within budget_usd. Ask AWS with `teal cost {options.stack} --refresh`, or accept it with --allow-unpriced\n"
        )
        return 2
    if options.check and today.over_budget:
        sys.stderr.write(
            f"refused: {options.stack} would cost {today.usd:,.0f} USD a month, budget_usd is {today.budget_usd:,}."
            f" Make it smaller, or raise teal:budget_usd in Pulumi.{options.stack}.yaml in its own commit\n"
        )
        return 2
    return 0


def _refresh(stack: str, multiple: float) -> None:
    import boto3

    from infra.cost.price_refresh import REGION, refresh
    from infra.evaluation.evaluate import stack_values

    region = str(stack_values(stack)["aws:region"])
    before = price_stack(stack, multiple)
    keys = sorted({line.key for line in before.lines})
    found, missing = refresh(boto3.client("pricing", region_name=REGION), region, keys)  # pyright: ignore[reportUnknownMemberType]  # overloads of 300 services
    prices.store_prices(region, found)
    sys.stderr.write(
        f"{len(found)} prices of {region} read from AWS; not found, or not asked for: {', '.join(missing) or 'none'}\n"
    )
