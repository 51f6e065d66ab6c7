"""Shapes are tables, and every moment of a run is in one row of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.shapes import SETTLE_SECONDS, SHAPES, Shape, ShapeStage, find_shape


def test_the_shapes_that_people_and_workflows_name_are_there() -> None:
    assert set(SHAPES) == {
        "smoke", "ramp", "step", "spike", "soak", "release",
        "disconnects", "long-conversation", "upload-storm", "hot-key", "cache-busting", "slow-readers",
    }  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda shape: shape.name)
def test_a_shape_ends_at_the_level_of_its_last_stage_and_every_stage_can_be_judged(shape: Shape) -> None:
    assert shape.level_at(0.0) >= 1
    assert shape.level_at(shape.pass_seconds - 0.001) == shape.stages[-1].level
    assert all(stage.seconds > SETTLE_SECONDS for stage in shape.stages), "nothing of it would be judged"


def test_a_stage_holds_its_level_and_a_ramp_grows_evenly_from_the_one_before() -> None:
    shape = Shape("x", "users", "", (ShapeStage(10, 20), ShapeStage(10, 40, ramp=True)))
    assert [shape.level_at(at) for at in (0, 9.9, 10, 15, 19.9)] == [20, 20, 20, 30, 40]


def test_a_ramp_from_nothing_begins_with_one() -> None:
    assert SHAPES["ramp"].level_at(0.0) == 1


def test_scaled_keeps_the_form() -> None:
    found = SHAPES["spike"].scaled(level=2.0, seconds=15)
    assert [stage.level for stage in found.stages] == [20, 100, 20]
    assert [stage.seconds for stage in found.stages] == pytest.approx([6, 3, 6])
    assert SHAPES["smoke"].scaled(0.001).peak == 1  # nobody at all would measure nothing


@pytest.mark.parametrize(("level", "seconds"), [(0.0, None), (-1.0, None), (1.0, -4.0)])
def test_no_load_and_no_time_are_refused_and_never_a_pass(level: float, seconds: float | None) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        SHAPES["smoke"].scaled(level, seconds)


def test_the_spike_is_five_times_as_much() -> None:
    levels = [stage.level for stage in SHAPES["spike"].stages]
    assert levels[1] == 5 * levels[0] == 5 * levels[2]


def test_a_yaml_file_adds_shapes_and_says_which_field_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "shapes.yaml"
    path.write_text("shapes: {lunch: {kind: users, mix: {HotKey: 2}, stages: [{seconds: 60, level: 7}]}}")
    found = find_shape("lunch", path)
    assert (found.peak, found.mix) == (7, {"HotKey": 2.0})
    path.write_text("shapes: {lunch: {kind: users, stages: [{seconds: 60, level: 0}]}}")
    with pytest.raises(ValueError, match=r"shapes\.lunch\.stages\.0\.level"):
        find_shape("lunch", path)


@pytest.mark.parametrize(
    ("mix", "said"),
    [
        ("kind: users, mix: {Serchr: 2}", "there is no Serchr; a shape of users mixes Searcher"),
        ("kind: arrivals, mix: {Searcher: 2}", "there is no Searcher; a shape of arrivals mixes search, ask"),
        ("kind: arrivals, mix: {search: 0}", "greater than 0"),
    ],
)
def test_a_mix_of_what_does_not_exist_is_refused_with_what_does(tmp_path: Path, mix: str, said: str) -> None:
    path = tmp_path / "shapes.yaml"
    path.write_text(f"shapes: {{lunch: {{{mix}, stages: [{{seconds: 60, level: 7}}]}}}}")
    with pytest.raises(ValueError, match=rf"shapes\.lunch.*{said}"):
        find_shape("lunch", path)


def test_a_wrong_name_lists_the_right_ones() -> None:
    with pytest.raises(ValueError, match=r"There is no shape 'stairs'\. There are: smoke, .*, none"):
        find_shape("stairs")


def test_a_spike_that_is_shorter_than_locust_looks_is_refused_and_the_next_longer_one_is_not() -> None:
    said = SHAPES["spike"].scaled(seconds=3).too_short()
    assert said == "spike has a stage of 0.6 s, and Locust changes the load once a second: give it --seconds 5 or more"
    assert SHAPES["spike"].scaled(seconds=5).too_short() == ""
    assert SHAPES["hot-key"].scaled(seconds=5).too_short() == ""  # its ramp is short, which misses nothing


def test_a_search_for_the_limit_with_stages_that_are_never_judged_is_refused() -> None:
    assert SHAPES["step"].scaled(seconds=24).too_short().startswith("step has a stage of 3 s")
    assert SHAPES["step"].too_short() == ""
    assert SHAPES["smoke"].scaled(seconds=5).too_short() == ""  # judged as a whole
