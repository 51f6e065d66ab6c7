"""The steps that a release can have, and their order. A new step is a file in `steps/` that is registered here.

Pure functions: the record and the rules in, steps out. `--dry-run` prints the steps, and a release's stored plan contains them
for the process that resumes or undoes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from teal.errors import NeedsHuman
from teal.ports.target import ReleaseRules
from teal.record.model import Color, Record, other
from teal.record.releases import PlannedStep, ReleasePlan, plan_key
from teal.release.steps.behaviour import BEHAVE
from teal.release.steps.canary_analysis import ANALYSE, HOLD, PAUSE
from teal.release.steps.color import DEPLOY, LOWER_FLOOR, RAISE_FLOOR, READY, RETIRE
from teal.release.steps.index import BUILD_INDEX, DROP_INDEX, VERIFY_INDEX
from teal.release.steps.jobs import JOB_TRANSFER
from teal.release.steps.load import LOAD
from teal.release.steps.preflight import PREFLIGHT
from teal.release.steps.questions import GOLDEN, WARM
from teal.release.steps.replay import REPLAY, REPORT
from teal.release.steps.schema import EXPAND_SCHEMA
from teal.release.steps.step import Intent, Step
from teal.release.steps.traffic import PROMOTE, SHIFT

# Every step by its name, for stored plans. A step that this version no longer plans stays registered.
STEPS: Final = (PREFLIGHT, EXPAND_SCHEMA, BUILD_INDEX, VERIFY_INDEX, RAISE_FLOOR, DEPLOY, READY, WARM, GOLDEN, BEHAVE, REPLAY, REPORT, LOAD, SHIFT, ANALYSE, PAUSE, PROMOTE,
                HOLD, JOB_TRANSFER, RETIRE, LOWER_FLOOR, DROP_INDEX)  # fmt: skip
_BY_NAME: Final = {name: step for step in STEPS for name in (step.name, *step.formerly)}


def idle(record: Record) -> Color:
    """The color that the next release is deployed to."""
    return other(record.active) if record.active else "blue"


def planned_steps(record: Record, rules: ReleaseRules, *, reindex: bool) -> tuple[PlannedStep, ...]:
    """The steps of a release into the idle color, in order."""
    return tuple(_script(Intent(idle(record), record.active, rules, reindex)))


def _script(intent: Intent) -> Iterator[PlannedStep]:
    first = intent.active is None  # a first release has no active color to compare with, to keep or to retire

    yield PREFLIGHT.planned(intent)
    yield EXPAND_SCHEMA.planned(intent)
    if intent.reindex:
        yield BUILD_INDEX.planned(intent)
        yield VERIFY_INDEX.planned(intent)

    yield RAISE_FLOOR.planned(intent)
    yield DEPLOY.planned(intent)
    yield READY.planned(intent)
    yield WARM.planned(intent)
    yield GOLDEN.planned(intent)
    yield BEHAVE.planned(intent)
    if not first:
        yield (REPORT if intent.rules.accept_different_answers else REPLAY).planned(intent)
    if intent.rules.load:
        yield LOAD.planned(intent, shape=intent.rules.load)

    for percent in (100,) if first else intent.rules.steps:
        yield SHIFT.planned(intent, percent)
        if not first:  # a first release has no old color to return the traffic to
            yield BEHAVE.planned(intent, percent)
        if percent < 100:
            yield ANALYSE.planned(intent, percent)
        if not first and percent == intent.rules.pause_at:
            yield PAUSE.planned(intent, percent)
    yield PROMOTE.planned(intent)
    if first:
        return

    yield HOLD.planned(intent)
    yield JOB_TRANSFER.planned(intent)
    yield RETIRE.planned(intent)
    yield LOWER_FLOOR.planned(intent)
    if intent.reindex:
        yield DROP_INDEX.planned(intent)


def position_of(plan: ReleasePlan, name: str) -> int:
    """The position of the step in the plan; 0 for an unknown name, because repeating every step does no harm."""
    return next((number for number, step in enumerate(plan.steps) if step.name == name), 0)


def is_reversible(plan: ReleasePlan, name: str) -> bool:
    """Whether a rollback to the old color is still possible while that step runs."""
    return can_be_undone(plan.steps[: position_of(plan, name) + 1])


class UnknownStep(NeedsHuman):
    """A stored plan was written by another version of Teal."""

    code = "unknown-step"


def find(plan: ReleasePlan, planned: PlannedStep) -> Step:
    """The step that a stored plan names. Raises UnknownStep for one that this version of Teal does not have."""
    step = _BY_NAME.get(planned.action)
    if step is None:
        raise UnknownStep(
            f"The plan of {plan.id} has a step {planned.action!r}, which this version of Teal does not know",
            where=plan_key(plan.id),
            next="the same command with the version of Teal that began the release",
        )
    return step


def all_of(plan: ReleasePlan, planned: Iterable[PlannedStep]) -> tuple[Step, ...]:
    """The steps, in the same order. Raises UnknownStep."""
    return tuple(find(plan, one) for one in planned)


def can_be_undone(planned: Iterable[PlannedStep]) -> bool:
    """Whether no step among them makes a rollback impossible.
    Steps that this version of Teal does not know are ignored, so that they do not block a rollback."""
    return all(_BY_NAME[one.action].reversible for one in planned if one.action in _BY_NAME)
