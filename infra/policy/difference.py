"""Shows what a change of this repository does to a stack, without cloud, state or rights:
`python -m infra.policy.difference STACK --before FOLDER`.

FOLDER is a checkout of the base of the change. Both programs are evaluated, each by its own code in a separate process, and
compared. Reviewers of a pull request see the result; the workflow has no AWS role, because a pull request's code runs before
anybody has read it. Exit 1: the change breaks a rule, or removes something that cannot be made again. Only the later plan on the
branch shows whether AWS changes a property in place, and what differs on AWS.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from infra.evaluation.evaluate import ROOT, Evaluation, RegisteredResource, platform, stacks
from infra.policy.guard import RefusedLoss, refusal_text, refused_losses
from infra.policy.resource import Resource
from infra.policy.rules import RULES

_SECONDS: Final = 300  # one evaluation takes some seconds of CPU; the limit ends a hanging program
_STACK: Final = "pulumi:pulumi:Stack"
ResourceData = Mapping[str, Any]  # one resource of an evaluation, as JSON


@dataclass(frozen=True)
class ResourceChange:
    """One resource that differs: `op` as Pulumi names it, and the names of the differing inputs.
    Without values, because the comment is public."""

    op: str
    urn: str
    changed: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        kind, name = self.urn.split("::")[2].rsplit("$", 1)[-1], self.urn.rsplit("::", 1)[-1]
        return f"{self.op:6} {kind} {name}" + (f" ({', '.join(self.changed)})" if self.changed else "")


def current_resources(stack: str) -> list[ResourceData]:
    """Every resource of this checkout's program, and the stack itself with its outputs, which releases read."""
    found = platform(stack)
    return [*(as_data(one) for one in found.resources), outputs_as_data(stack, found)]


def as_data(one: RegisteredResource) -> ResourceData:
    """One resource as JSON, the same for every checkout that holds the same files."""
    return {
        "urn": one.urn, "type": one.type, "name": one.name, "protect": one.protect, "inputs": _portable(one.inputs),
        "secret_outputs": sorted(one.secret_outputs),
    }  # fmt: skip


def outputs_as_data(stack: str, found: Evaluation) -> ResourceData:
    """The stack's outputs as one more resource.
    An output that becomes secret can no longer be read without the platform's key."""
    return {
        "urn": f"urn:pulumi:{stack}::teal::{_STACK}::outputs", "type": _STACK, "name": "outputs", "protect": False,
        "inputs": _portable(found.outputs), "secret_outputs": sorted(found.secret_outputs),
    }  # fmt: skip


def _portable(value: Any) -> Any:
    """The value with each path into the checkout replaced by the file's content, so that two checkouts can be compared."""
    if isinstance(value, Mapping):
        return {name: _portable(each) for name, each in cast(Mapping[str, Any], value).items()}
    if isinstance(value, list):
        return [_portable(each) for each in cast(list[Any], value)]
    if isinstance(value, str) and value.startswith(f"{ROOT}{os.sep}") and (path := Path(value)).is_file():
        return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    return value


def resources_before(folder: Path, stack: str) -> list[ResourceData]:
    """The resources of the checkout in `folder`, by its own code; none when it has no such stack.
    Raises OSError with the program's message."""
    if not (folder / f"Pulumi.{stack}.yaml").is_file():
        return []
    ended = subprocess.run(  # noqa: S603 - a fixed command
        [sys.executable, "-m", "infra.policy.difference", stack, "--dump"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(folder.resolve())}, capture_output=True, text=True, timeout=_SECONDS, check=False,
    )  # fmt: skip
    if ended.returncode != 0:
        raise OSError(f"the program in {folder} could not be evaluated: {ended.stderr.strip()[-2_000:]}")
    found: list[ResourceData] = json.loads(ended.stdout)
    return found


def changes_between(old: Sequence[ResourceData], new: Sequence[ResourceData]) -> list[ResourceChange]:
    """What is created, changed and deleted, in this order."""
    was, now = ({str(one["urn"]): one for one in side} for side in (old, new))
    made = [ResourceChange("create", urn) for urn in now if urn not in was]
    gone = [ResourceChange("delete", urn) for urn in was if urn not in now]
    changed = [
        ResourceChange("update", urn, different)
        for urn, one in now.items()
        if urn in was and (different := _different(was[urn], one))
    ]
    return [*made, *changed, *gone]


def _different(old: ResourceData, new: ResourceData) -> tuple[str, ...]:
    inputs = [name for name in sorted({*old["inputs"], *new["inputs"]}) if old["inputs"].get(name) != new["inputs"].get(name)]
    secret = old.get("secret_outputs", []) != new["secret_outputs"]
    return (*inputs, *(["protect"] if old["protect"] != new["protect"] else []), *(["secret outputs"] if secret else []))


def losses_of_change(
    found: Sequence[ResourceChange], old: Sequence[ResourceData], new: Sequence[ResourceData]
) -> tuple[RefusedLoss, ...]:
    """What the change removes but may not, by the same rules as for a plan on the branch."""
    was, now = ({str(one["urn"]): one for one in side} for side in (old, new))
    plan = {
        "steps": [{"op": one.op, "urn": one.urn, "oldState": was.get(one.urn), "newState": now.get(one.urn)} for one in found]
    }
    return refused_losses(plan)


def broken_rules(stack: str, new: Sequence[ResourceData]) -> list[str]:
    """Which rules the new program breaks."""
    resources = [Resource(one["type"], one["name"], one["inputs"], one["protect"], stack) for one in new]
    return [f"{rule.name}: {one.name}: {said}" for one in resources for rule in RULES for said in rule.check(one)]


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.policy.difference", description="What a change does to a stack.")
    parser.add_argument("stack", choices=stacks())
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--before", type=Path, help="a checkout of what the change is compared with")
    how.add_argument("--dump", action="store_true", help="write this checkout's resources as JSON")
    options = parser.parse_args(arguments)
    new: list[ResourceData] = json.loads(json.dumps(current_resources(options.stack), default=str))  # JSON, like the other side
    if options.dump:
        sys.stdout.write(json.dumps(new))
        return 0
    try:
        old = resources_before(options.before, options.stack)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    found = changes_between(old, new)
    lost, rules = losses_of_change(found, old, new), broken_rules(options.stack, new)
    sys.stdout.write("".join(f"{one.line}\n" for one in found) or "nothing changes\n")
    sys.stdout.write("".join(f"refused: {one}\n" for one in rules) + (f"{refusal_text(lost)}\n" if lost else ""))
    return 1 if lost or rules else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
