"""The step that replays recorded queries of users against the new color before it has users. Without texts in the sample it says
in one line how to turn it on. `REPORT` is the same step for a release that answers differently on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from teal.errors import OperatorError
from teal.events import Event
from teal.record.releases import PlannedStep
from teal.release.answers import compare, worse
from teal.release.context import ReleaseRun
from teal.release.replay import Colors, comparison, recorded_queries, replayed
from teal.release.steps.step import Step


class OtherAnswers(OperatorError):
    """The new color answers users' queries differently or worse than the active one."""

    code = "other-answers"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"Users' recorded queries: {what}",
            where="replay",
            next="teal history; if the answers should differ, teal release --accept-different-answers",
        )


def _replay(run: ReleaseRun, step: PlannedStep, *, judged: bool) -> Iterator[Event]:
    if run.old is None:
        return
    state = run.state()
    queries, said = recorded_queries(run.target, partial(run.admin, state, run.new), state.config)
    if not queries:
        yield Event(step.name, "progress", said)
        return
    colors = Colors(run.old, run.new)
    found = tuple(replayed(run.target, colors, queries, run.lease.keep))
    measures = compare(found)
    yield comparison(step.name, colors, found, measures, said)
    what = worse(measures)
    if what and judged:
        raise OtherAnswers(what)
    if what:
        yield Event(step.name, "warn", f"accepted: {what}")


REPLAY: Final = Step(
    "replay",
    "replay recorded queries of users, if their texts are kept: {target} must find and answer what {active} does",
    partial(_replay, judged=True),
    takes_back="its keys end by themselves",
)
REPORT: Final = Step(
    "replay-report",
    "replay recorded queries of users, if their texts are kept, and show how {target}'s answers differ from {active}'s",
    partial(_replay, judged=False),
    takes_back="its keys end by themselves",
)
