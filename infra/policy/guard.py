"""Refuses a plan that would delete or replace resources that cannot be made again:
`python -m infra.policy.guard FILE|- [--allow URN]...`

Reads the output of `pulumi preview --json`. `protect` stops the engine; this guard stops the plan before it is approved, and also
detects the removal of `protect` itself, and losses that follow from deleting a cluster or a namespace.
Exit 0: accepted; 1: refused; 2: not a plan.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from infra.policy.stateful import STATEFUL

# Of pkg/resource/deploy/step.go (Pulumi 3.260). `same`, `create`, `update`, `read`, `refresh`, `import` and `diff` take nothing away.
REMOVING: Final[Mapping[str, str]] = {
    "delete": "deleted",
    "replace": "replaced",
    "create-replacement": "replaced",
    "delete-replaced": "replaced",
    "import-replacement": "replaced",
    "read-replacement": "replaced",
    "discard": "forgotten",
    "discard-replaced": "forgotten",
    "remove-pending-replace": "forgotten",
}
_HARMLESS: Final = frozenset({"same", "create", "update", "read", "refresh", "import", "diff", "extend-parameterize"})


class PlanError(Exception):
    """The input is not the JSON of a preview. The text says what to run."""


@dataclass(frozen=True)
class RefusedLoss:
    """One resource that the plan would remove. `what`: deleted, replaced, forgotten, unprotected.
    `because`: properties that force a replacement."""

    urn: str
    type: str
    name: str
    what: str
    lost: str
    because: tuple[str, ...] = ()


def refused_losses(plan: Mapping[str, Any], allowed: Sequence[str] = ()) -> tuple[RefusedLoss, ...]:
    """The resources that the plan would remove but may not, each once.
    `allowed`: URNs of resources that an operator decided to give up.

    An unknown operation, which a newer Pulumi may have, counts as a removal.
    """
    steps = plan.get("steps")
    if not isinstance(steps, list):
        raise PlanError("the plan has no list `steps`; make it with: pulumi preview --json > plan.json")
    found: dict[str, RefusedLoss] = {}
    for step in cast(list[Mapping[str, Any]], steps):
        one = _refused(step)
        if one is not None and one.urn not in allowed:
            # A replacement has three steps; the first names the properties that force it.
            found[one.urn] = found[one.urn] if one.urn in found and found[one.urn].because else one
    return tuple(found.values())


def _refused(step: Mapping[str, Any]) -> RefusedLoss | None:
    urn, operation = str(step["urn"]), str(step["op"])
    old: Mapping[str, Any] = step.get("oldState") or {}
    new: Mapping[str, Any] = step.get("newState") or {}
    kind = str(old.get("type") or new.get("type") or _type(urn))
    lost = STATEFUL.get(kind)
    if lost is None:
        return None
    name = urn.rsplit("::", 1)[-1]
    if operation in REMOVING or operation not in _HARMLESS:
        because = tuple(str(reason) for reason in step.get("replaceReasons") or ())
        return RefusedLoss(urn, kind, name, REMOVING.get(operation, operation), lost, because)
    if old.get("protect") and new and not new.get("protect"):
        return RefusedLoss(urn, kind, name, "unprotected", lost)
    return None


def _type(urn: str) -> str:
    """The resource's own type: the last of the types in a URN."""
    parts = urn.split("::")
    return parts[2].rsplit("$", 1)[-1] if len(parts) > 3 else ""


def refusal_text(found: Sequence[RefusedLoss]) -> str:
    """The text of a refusal: each resource, what is lost with it, and how to remove it on purpose."""
    lines = [f"refused: the plan takes away {len(found)} resource{'s' if len(found) != 1 else ''} that cannot be made again"]
    for one in found:
        forced = f" (forced by {', '.join(one.because)})" if one.because else ""
        lines += [
            f"  {one.name}: {one.what}{forced}",
            f"    type:  {one.type}",
            f"    lost:  {one.lost}",
            f"    urn:   {one.urn}",
        ]
    lines += [
        "To do it on purpose: take a backup (`teal snapshot`, a snapshot of the database) and verify it; remove `protect` from the",
        "resource in its own commit; then run this check with --allow URN for each resource named above, and `pulumi up`.",
    ]
    return "\n".join(lines)


def read_preview(source: str) -> Mapping[str, Any]:
    """The plan in a file, or on standard input for `-`. Raises PlanError with what to do."""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8-sig")
        plan: object = json.loads(text)
    except OSError as error:
        raise PlanError(f"{source}: {error.strerror}; make it with: pulumi preview --json > {source}") from None
    except ValueError:
        raise PlanError(
            f"{source}: not JSON; make it with: pulumi preview --json > plan.json (without colors, without --diff)"
        ) from None
    if not isinstance(plan, dict):
        raise PlanError(f"{source}: not a preview; make it with: pulumi preview --json > plan.json")
    return cast(Mapping[str, Any], plan)


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.policy.guard", description="Refuse a plan that takes away what cannot be made again."
    )
    parser.add_argument("plan", help="file with the output of `pulumi preview --json`, or -")
    parser.add_argument("--allow", action="append", default=[], metavar="URN", help="a resource to give up; may be repeated")
    options = parser.parse_args(arguments)
    try:
        found = refused_losses(read_preview(options.plan), options.allow)
    except PlanError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{refusal_text(found)}\n" if found else "the plan takes nothing away that cannot be made again\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
