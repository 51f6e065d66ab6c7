"""Plans for any size: what must hold for each, one by hand, and files that are no growth run."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from infra.cost.units import units as priced
from loadtests.scale import check, report
from loadtests.scale.inputs import INPUTS, Input, Inputs, NotAGrowthRun, with_growth
from loadtests.scale.plan import GIB, Plan, engine_cpu_seconds, plan, plans, read_units

UNITS = read_units(priced("us-east-1"))
SIZES = (1_000, 1_000_000, 30_000_000, 1_000_000_000)
RATES = (1.0, 50.0, 3_000.0)
EACH = plans(SIZES, RATES, INPUTS, UNITS)


def given(**values: float) -> Inputs:
    known = {name: getattr(INPUTS, name) for name in values}
    return replace(INPUTS, **{name: replace(known[name], value=value) for name, value in values.items()})


@pytest.mark.parametrize("one", EACH, ids=lambda one: f"{one.passages}-{one.per_second:g}")
def test_every_node_has_a_copy_of_a_shard_and_every_shard_fits(one: Plan) -> None:
    assert one.nodes <= max(3, one.shards * one.copies)
    assert one.index_gb / one.shards <= INPUTS.shard_gb.value
    assert one.passages / one.shards <= INPUTS.shard_passages.value
    cache_gb = (one.node_gib - next(pod.heap_gib for pod in UNITS.search_pods if pod.gib == one.node_gib)) * GIB / 1e9
    assert one.vectors_gb * one.copies <= one.nodes * cache_gb
    assert 2 * one.index_gb * one.copies * 1e9 <= one.nodes * one.disk_gib * GIB * 0.85  # below the low watermark of the disk


def test_more_passages_or_questions_never_need_less() -> None:
    for rate in RATES:
        line = [one for one in EACH if one.per_second == rate]
        assert all(a.usd_a_month <= b.usd_a_month and a.shards <= b.shards for a, b in pairwise(line))
    for size in SIZES:
        line = [one for one in EACH if one.passages == size]
        assert all(a.usd_a_month < b.usd_a_month and a.pods <= b.pods for a, b in pairwise(line))


def test_a_plan_that_was_computed_by_hand() -> None:
    """100 million passages of 4,000 bytes are 400 GB: 8 shards. A search costs 8 x 10 ms when depth costs nothing more, so 100 a second take
    8 cores; at half of each node's 6 cores, 3 nodes. Vectors: 100 million x 500 bytes x 2 copies are 100 GB, 27 GiB x 0.9 a node: 4 nodes."""
    inputs = given(
        disk_bytes_a_passage=4_000, engine_cpu_ms_a_search=10, measured_passages=1e9, vector_bytes_beside_dimensions=500 - 384,
        search_cpu_share=0.5, page_cache_share=0.9, app_cpu_ms_a_search=6,
    )  # fmt: skip
    found = plan(100_000_000, 100.0, inputs, replace(UNITS, search_pods=UNITS.search_pods[-1:]))
    assert (found.shards, found.copies, found.nodes, found.needed_by) == (8, 2, 4, "memory for vectors")
    assert found.pods == 2  # 0.6 cores at 60 % of one core a pod would be one; two, so that one may be lost


def test_a_search_asks_every_shard_and_goes_deeper_in_a_fuller_one() -> None:
    measured = int(INPUTS.measured_passages.value)
    once = engine_cpu_seconds(measured, 1, INPUTS)
    assert once == pytest.approx(INPUTS.engine_cpu_ms_a_search.value / 1000)
    assert engine_cpu_seconds(measured**2, 1, INPUTS) == pytest.approx(2 * once)
    assert engine_cpu_seconds(4 * measured, 4, INPUTS) == pytest.approx(4 * once)


def test_what_cannot_be_built_is_said_with_the_setting_that_forbids_it() -> None:
    found = plan(1_000_000_000, 10_000.0, INPUTS, UNITS)
    assert found.first_limit.used > 1
    assert found.first_limit.why in {"teal:search.nodes", "teal:search.replicas"}
    assert report.cells(found)[-1].endswith("times as many")


def test_every_input_says_where_it_comes_from() -> None:
    assert all(isinstance(one, Input) and one.source and one.unit for one in (getattr(INPUTS, name) for name in Inputs.__slots__))


ROW = {
    "passages": 1000, "processes": 1, "store_bytes": 5_000_000, "body_bytes_a_passage": 900.0, "passages_a_document": 4.0,
    "answer_bytes": 9000, "steps": [{"offered": 60.0, "loop_ms": 2.0, "others_ms": 5.0, "engine_ms": 10.0}],
}  # fmt: skip


def test_a_growth_run_replaces_what_was_measured_here(tmp_path: Path) -> None:
    path = tmp_path / "growth.json"
    path.write_text(json.dumps({"growth": [ROW]}))
    inputs = with_growth(INPUTS, path)
    assert (inputs.disk_bytes_a_passage.value, inputs.engine_cpu_ms_a_search.value, inputs.app_cpu_ms_a_search.value) == (
        5000,
        10,
        7,
    )
    assert str(path) in inputs.disk_bytes_a_passage.source
    assert [(one.engine_ms, one.computed_engine_ms) for one in check.compare(path, inputs)] == [(10, pytest.approx(10))]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not what"),
        ("[]", "is not what"),
        ('{"growth": []}', "has no rows"),
        ('{"growth": [{"steps": []}]}', "is not what"),
        (json.dumps({"growth": [{name: value for name, value in ROW.items() if name != "store_bytes"}]}), "has no store_bytes"),
    ],
)
def test_a_file_that_is_no_growth_run_is_refused_in_words(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "growth.json"
    path.write_text(text)
    with pytest.raises(NotAGrowthRun, match=says):
        with_growth(INPUTS, path)
