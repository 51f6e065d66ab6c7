"""The step that widens the catalog's schema, so that both versions can use it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from teal.errors import NeedsHuman, OperatorError
from teal.events import Event
from teal.record.model import ColorState
from teal.record.releases import PlannedStep
from teal.release.context import ReleaseRun
from teal.release.probes.registry import PROBES
from teal.release.schema import covers
from teal.release.steps.behaviour import probe_results
from teal.release.steps.step import Step


def expand_schema(run: ReleaseRun, step: PlannedStep) -> Iterator[Event]:
    """The migrations; then the *active* color is asked what it is asked before a release's users are: what it did well before and does wrong
    now is the new schema's doing, which is then taken back. Raises OperatorError when that mended it, NeedsHuman when it did not."""
    state = run.state()
    before = _schema(run, state)
    expands = bool(before.get("expand"))
    well = [probe for probe, said in probe_results(run, PROBES, run.old) if not said] if run.old is not None and expands else []
    run.admin(state, run.new, "migrate", "--expand")
    revision = str((_schema(run, state) if expands or before["revision"] is None else before)["revision"])
    suffers = (
        {probe.name: said for probe, said in probe_results(run, well, run.old) if said} if run.old is not None and well else {}
    )
    if suffers:
        yield from _taken_back(
            run, state, str(before["revision"]), revision, "; ".join(f"{name}: {said}" for name, said in suffers.items())
        )
    if not covers(state.schema_min, revision, state.schema_max):
        raise OperatorError(f"The image serves schema {state.schema_min} to {state.schema_max}; the database is at {revision}",
                            where="catalog", next="release an image of the newer code")  # fmt: skip
    if well:
        yield Event(step.name, "progress", f"{run.old} behaves with the new schema as before ({len(well)} probes)")
    ran = [str(one) for one in before.get("expand") or ()]
    yield Event(
        step.name,
        "progress",
        f"database at {revision}; the image serves {state.schema_min} to {state.schema_max}",
        data={"migrations": ran},
    )


def _schema(run: ReleaseRun, state: ColorState) -> dict[str, Any]:
    return run.admin(state, run.new, "schema")[0]


def _taken_back(run: ReleaseRun, state: ColorState, before: str, revision: str, suffers: str) -> Iterator[Event]:
    """Back to the schema of before by the revisions' own downgrades; then the active color is asked again. Always raises."""
    yield Event("expand-schema", "warn", f"{run.old} suffers from schema {revision}: {suffers}")
    run.admin(state, run.new, "migrate", "--back", before)
    still = [said for _, said in probe_results(run, PROBES, run.old) if said] if run.old is not None else []
    said = f"Schema {revision} made {run.old} fail ({suffers}); it was taken back to {before}"
    if still:
        raise NeedsHuman(
            f"{said}, and {run.old} still fails: {'; '.join(still)}", where="catalog", next="teal restore --only database"
        )
    raise OperatorError(f"{said}, and {run.old} behaves again", where="catalog", next="mend the revision, then teal release")


EXPAND_SCHEMA: Final = Step(
    "expand-schema",
    "run the migrations marked expand, ask {active} how it does with them, and compare what the image can serve",
    expand_schema,
    takes_back="kept: images of before serve an expanded schema; taken back at once when {active} suffers from it",
)
