"""A climb ends soon after its first broken stage and never by chance, and the next one begins when the service has drained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from loadtests import evaluate
from loadtests.climb import DRAIN_SECONDS, ClimbRules, ClimbWatch, StageSoFar, broken
from loadtests.measured import SEARCH, Climb, Count, GeneratorHealth, LoadTestResult, MeasuredWindow, RunSample
from loadtests.shapes import Shape, ShapeStage
from loadtests.thresholds import Threshold, ThresholdFile
from loadtests.timetable import Timetable

ROW = Threshold(requests=SEARCH, at_most_percent=5, later_than_ms=500, why="test")
RULES = ClimbRules((ROW,), late_p99_ms=50)
SHAPE = Shape("step", "arrivals", "", (ShapeStage(20, 10), ShapeStage(20, 20), ShapeStage(20, 40)), each_stage=True, repeat=2)


def window(late: int = 0, of: int = 200, **own: object) -> MeasuredWindow:
    counts = {SEARCH: Count(requests=of, ms={900: late, 20: of - late})}
    return MeasuredWindow(
        from_seconds=0, to_seconds=10, stage=0, users=1, counts=counts, generator=GeneratorHealth.model_validate(own)
    )


def so_far(window: MeasuredWindow, *, settled: bool = True, over: bool = False) -> StageSoFar:
    return StageSoFar(0, window, window if settled else None, over)


@pytest.mark.parametrize(
    ("late", "of", "ends"), [(0, 200, False), (10, 200, False), (13, 200, False), (30, 200, True), (4, 4, True), (2, 2, False)]
)
def test_a_climb_ends_by_a_breach_that_chance_cannot_explain(late: int, of: int, ends: bool) -> None:
    found = broken(so_far(window(late, of)), RULES)
    assert found == (("breached", f"search: at most 5 % later than 500 ms: {late} of {of}") if ends else None)


def test_a_stall_of_a_second_is_no_limit_and_a_stage_that_is_over_is_judged_however_short() -> None:
    stalled = window(late=9, of=20).model_copy(update={"to_seconds": 2})
    assert broken(so_far(stalled), RULES) is None
    assert broken(so_far(stalled, over=True), RULES) is not None


@pytest.mark.parametrize(("hiccups", "ends"), [(0, False), (3, False), (20, True)])
def test_a_late_generator_ends_a_climb_and_a_hiccup_does_not(hiccups: int, ends: bool) -> None:
    stage = window(
        late=150, lag_ms={2: 200 - hiccups, 130: hiccups}
    )  # a late generator makes the service look slow: void comes first
    found = broken(so_far(stage), RULES if ends else replace(RULES, rows=()))
    assert (found[0] if found else None) == ("void" if ends else None)


def test_the_first_seconds_of_a_stage_end_nothing_but_for_what_could_not_be_sent() -> None:
    assert broken(so_far(window(late=200), settled=False), RULES) is None
    said = ("void", "the generator could not send: 2 x search: EMFILE")
    assert broken(so_far(window(not_sent={"search: EMFILE": 2}), settled=False), RULES) == said


class Run:
    """A run of SHAPE of which time, answers and probes are played. `slow_from`: the level from which every answer is late."""

    def __init__(self, slow_from: int, probes: Iterator[float | None], in_flight: Iterator[int]) -> None:
        self.timetable, self.at, self.slow_from = Timetable(SHAPE), 0.0, slow_from
        self.told: list[dict[str, object]] = []
        self.counted, self.samples = Count(), list[RunSample]()
        self.watch = ClimbWatch(
            self.timetable, RULES, lambda: next(in_flight), lambda: next(probes), lambda: self.at, self.told.append
        )

    def sample(self) -> None:
        repetition, stage = self.timetable.where(self.at)
        self.samples.append(
            RunSample(at_seconds=self.at, stage=stage, users=1, counts={SEARCH: self.counted}, repetition=repetition)
        )

    def play(self) -> None:
        self.sample()
        while (level := self.timetable.level(self.at)) is not None:
            assert self.at < 600
            self.counted = self.counted.plus(
                Count(requests=level, ms={900 if level >= self.slow_from else 20: level} if level else {})
            )
            self.at += 1
            self.sample()
            if self.watch.look(self.samples):
                self.sample()


def forever(value: float) -> Iterator[float]:
    while True:
        yield value


def test_each_climb_ends_in_the_first_broken_stage_and_the_next_begins_after_three_good_probes_with_nothing_in_flight() -> None:
    probes = iter([None, 20.0, None, 20.0, 21.0, 22.0])
    run = Run(20, probes, in_flight=iter([5, 1, 0, 0, 0, 0, 0, 0]))
    run.play()
    first, second = run.watch.climbs
    assert (first.broken_stage, second.broken_stage, first.outcome) == (1, 1, "breached")
    assert max(sample.stage or 0 for sample in run.samples) == 1  # 40 a second were never sent
    assert first.drain is not None
    assert (first.drain.drained, first.drain.seconds, first.drain.probe_ms) == (True, 8.0, 22.0)
    assert second.drain is None
    assert next(probes, "all used") == "all used"
    assert [one["step"] for one in run.told] == ["climb", "drain", "climb"]
    assert (
        run.told[0]["detail"]
        == "repetition 1 of 2: ended at 20 requests a second, breached: search: at most 5 % later than 500 ms: 100 of 100"
    )
    assert run.samples[-1].at_seconds == 2 * 30 + 8  # each climb ends ten seconds into its second stage


def test_a_service_that_never_drains_is_waited_for_no_longer_than_the_limit_which_is_said() -> None:
    run = Run(20, (None for _ in range(1000)), (0 for _ in range(1000)))
    run.play()
    drain = run.watch.climbs[0].drain
    assert drain is not None
    assert (drain.drained, drain.seconds, drain.probe_ms) == (False, DRAIN_SECONDS, None)
    assert run.told[1]["detail"] == "repetition 1 of 2: not drained within 60 s, and the next climb begins in its backlog"


def test_a_service_that_keeps_everything_is_climbed_to_the_top() -> None:
    run = Run(1_000, forever(20.0), (0 for _ in range(1000)))
    run.play()
    assert [one.broken_stage for one in run.watch.climbs] == [None, None]
    assert [one for one in run.told if one["step"] == "climb"] == []


def test_a_stage_is_kept_only_if_every_climb_kept_it_and_stages_that_none_began_are_not_reported() -> None:
    parts = [MeasuredWindow(from_seconds=at, to_seconds=at + 1, stage=stage, users=1, repetition=repetition, counts={SEARCH: Count(requests=40, ms={20: 40})})
             for repetition in (0, 1) for stage, begin in ((0, 0), (1, 20)) for at in range(begin + 100 * repetition, begin + 100 * repetition + 10)]  # fmt: skip
    climbs = [Climb(repetition=0), Climb(repetition=1, broken_stage=1, outcome="breached", why="search: 30 of 200")]
    measured = LoadTestResult(shape="step", kind="arrivals", plan=SHAPE.stages, host="h", began=0.0, seconds=130.0, windows=parts, repeat=2,
                              each_stage=True, climbs=climbs)  # fmt: skip
    found = evaluate.with_verdicts(measured, ThresholdFile(thresholds=(ROW,)), (), {})
    assert [(one.outcome, one.why) for one in found.stages] == [("kept", ""), ("breached", "repetition 2: search: 30 of 200")]
    assert (found.outcome, found.goodput_level) == ("kept", 10)
