"""The generator's counts of itself: what processes report adds up to what they counted."""

from __future__ import annotations

from loadtests.measured import GeneratorHealth
from loadtests.meter import Meter


def test_news_is_what_was_counted_since_the_last_time_and_together_everything() -> None:
    meter, gathered = Meter(), GeneratorHealth()
    for late_seconds in (0.001, 0.2, None):
        meter.sent("search", late_seconds)
        meter.token(0.02)
        gathered = GeneratorHealth.model_validate(meter.news()).plus(gathered)
    assert gathered == meter.counted
    assert (gathered.sent, gathered.late_ms, gathered.tokens) == ({"search": 3}, {1: 1, 200: 1}, 3)
    assert GeneratorHealth.model_validate(meter.news()).sent == {}


def test_what_could_not_be_sent_was_not_sent() -> None:
    meter = Meter()
    meter.sent("search", None)
    meter.not_sent("search", "EMFILE")
    assert (meter.counted.sent, meter.counted.not_sent) == ({"search": 0}, {"search: EMFILE": 1})


def test_server_timing_is_added_up_by_part() -> None:
    meter = Meter()
    meter.timed('embed;dur=3.5, db;desc="x";dur=2, total;dur=10')
    meter.timed("embed;dur=1.5, cache")
    assert (meter.counted.server_ms, meter.counted.server_timed) == ({"embed": 5.0, "db": 2.0, "total": 10.0}, 2)


def test_open_streams_stay_open_when_the_next_run_begins() -> None:
    meter = Meter()
    meter.counted.streams += 2
    meter.reset()
    assert meter.counted.streams == 2
