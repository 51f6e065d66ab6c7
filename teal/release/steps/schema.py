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
    """Run the migrations, with the behaviour probes on the *active* color before and after. If a probe passes before and fails
    after, the schema is taken back. Raises OperatorError when the active color then works again, NeedsHuman when it does not."""
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
    """Take the schema back by the revisions' own downgrades, then run the probes on the active color again. Always raises."""
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
