"""`teal rollback --to RELEASE`: releases a version again that served before, as the recorded unit of image, configuration and
search index. This is a release with every step and every gate.
Only the old color of an open rollback window can be returned to at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from teal.errors import BadInput
from teal.events import Event
from teal.ports.target import Image, Target
from teal.record.lease import refuse_unfinished
from teal.record.model import Record
from teal.record.releases import ReleaseOutcome, ReleasePlan, outcome_key, plan_key, read_kept, read_plan
from teal.release.rollback import rollback
from teal.release.runner import ReleaseRequest, release
from teal.release.schema import covers

ENGINE: Final = "TEAL_SEARCH"  # the setting with the search engine: two engines may have an index of the same name


def rollback_to(target: Target, id: str) -> Iterator[Event]:
    """Return to the release `id`: at once while its color still runs, else by releasing it again. Raises BadInput with the reason
    when its image, index or the schema does not allow that, and whatever `rollback` and `release` raise.
    A freeze does not stop it."""
    record, _ = target.store.read()
    if record.release is not None:
        replaced = read_plan(target.store, record).replaces
        if replaced is not None and replaced.release_id == id:
            yield from rollback(target)
            return
    refuse_unfinished(record, target.clock)
    plan = _served(target, record, id)
    active = record.active_state
    if record.active is None or active is None:
        raise _refused(id, "no color is active, so there is nothing to go back from", "teal release --image ID")
    image = _kept(target, plan)
    if plan.state.config.get(ENGINE) != active.config.get(ENGINE):
        raise _refused(id, f"it read another search engine ({plan.state.config.get(ENGINE)}), which nobody kept up since",
                       f"teal release --image {image.id}")  # fmt: skip
    if plan.state.index != active.index:
        raise _refused(id, f"it read the search index {plan.state.index}, which ended when {active.index} took its place",
                       f"teal release --image {image.id} --reindex, with that release's settings")  # fmt: skip
    revision = str(target.runtime.admin(active, record.active, "schema")[0]["revision"])
    if not covers(image.schema_min, revision, image.schema_max):
        raise _refused(id, f"its image serves schema {image.schema_min} to {image.schema_max}, and the database is at {revision}",
                       "release its code with the newer revisions in it")  # fmt: skip
    yield Event(
        "return", "start", f"{id} is released again, step by step: its image, its configuration and the index {active.index}"
    )
    if record.freeze is not None:
        yield Event("return", "warn", f"releases are frozen ({record.freeze.message}); going back is let through")
    # An older version may answer differently: that is why somebody goes back to it.
    target = replace(target, rules=replace(target.rules, accept_different_answers=True))
    yield from release(target, ReleaseRequest(Path(), returns_to=plan.state))


def _served(target: Target, record: Record, id: str) -> ReleasePlan:
    """The plan of a release that was active once and is not now. Raises BadInput for any other."""
    plan = read_kept(ReleasePlan, target.store, plan_key(id))
    if plan is None:
        raise _refused(id, "nothing is kept of it", "teal history")
    active = record.active_state
    if active is not None and active.release_id == id:
        raise _refused(id, "it is the active one", "teal status")
    outcome = read_kept(ReleaseOutcome, target.store, outcome_key(id))
    if outcome is None:
        raise _refused(
            id, "how it ended was not written, so nobody knows whether it served", f"teal release --image {plan.state.image}"
        )
    if outcome.phase != "Healthy":
        raise _refused(id, f"it never served everybody: {outcome.reason}", "teal history")
    return plan


def _kept(target: Target, plan: ReleasePlan) -> Image:
    try:
        return target.images.known(plan.state.image)
    except BadInput as error:
        raise _refused(
            plan.id, f"its image is not kept any more: {error.what}", "teal release PATH, with the tree it came from"
        ) from error


def _refused(id: str, why: str, next: str) -> BadInput:
    return BadInput(f"Going back to {id} is not possible: {why}", where=f"--to {id}", next=next)
