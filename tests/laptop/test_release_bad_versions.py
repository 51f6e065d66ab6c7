"""Versions that must not reach all users, released to a stack that people use: each is undone by itself, and few people met it.

Whole releases of those that differ most; the others' real apps are asked by the same probes and gates in tests/parts/teal/test_bad_versions.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from teal.ports.traffic import all_to
from tests.services.ports import free_port
from tests.services.releasing import ReleaseStack, tree

pytestmark = [pytest.mark.integration, pytest.mark.release, pytest.mark.timeout(400)]
PER_SECOND = 25.0
RULES = {
    "analysis_seconds": 5, "minimum_samples": 60, "slo_seconds": 0.25, "hold_seconds": 2, "poll_seconds": 0.5, "ready_seconds": 10,
    "ingest_seconds": 5, "jobs_seconds": 20, "paused_seconds": 8, "probes_per_poll": 10,
}  # fmt: skip


@dataclass(frozen=True)
class Bad:
    """`step`: where it must be caught at the latest; `share`: largest share of users' requests that may have met it while it was served.
    `weekly`: tests/parts/teal/test_bad_versions.py, a release on a node or another one here meets the same fault sooner."""

    name: str
    steps: tuple[str, ...]
    share: float = 0.0
    rules: Mapping[str, float] = field(default_factory=dict)
    weekly: bool = False


VERSIONS = (
    Bad("does_not_start", ("ready",), weekly=True),
    Bad("never_ready", ("ready",), weekly=True),
    Bad("incompatible_migration", ("expand-schema",)),
    Bad("golden_questions_fail", ("golden",), weekly=True),
    Bad("jobs_never_finish", ("golden",)),
    Bad("leaks_cache", ("golden",), weekly=True),
    Bad("other_tenants_passages", ("behave",), weekly=True),
    # 5 % of 60 are 3, and by chance often none; of 200, fewer than the 5 that tell are one in forty at each of three steps.
    Bad(
        "five_percent_errors",
        ("golden", "behave", *(f"{step}-{share}" for share in (5, 25, 50) for step in ("behave", "analyse"))),
        0.50,
        {"minimum_samples": 200, "probes_per_poll": 30},
    ),
    Bad("slow", ("behave", "behave-5", "analyse-5"), 0.05, weekly=True),
    Bad("crashes_under_load", ("warm", "golden", "behave", "behave-5", "analyse-5"), 0.05),
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReleaseStack]:
    made = ReleaseStack(tmp_path_factory.mktemp("bad") / ".teal", free_port(), rules=RULES)
    made.up()
    made.fill()
    yield made
    made.down()


@pytest.mark.parametrize(
    "bad", [pytest.param(bad, id=bad.name, marks=[pytest.mark.weekly] if bad.weekly else []) for bad in VERSIONS]
)
def test_a_bad_version_is_undone_by_itself_and_few_met_it(stack: ReleaseStack, tmp_path: Path, bad: Bad) -> None:
    stack.rules = RULES | bad.rules
    before = stack.record()
    users = stack.users((stack.key(),), per_second=PER_SECOND, documents=False)
    users.start()
    began = time.time()
    code, said = stack.teal(
        "release", str(tree(tmp_path, bad.name, active=before.color(before.active).release_id)), "--version", bad.name
    )
    ended = time.time()
    met = users.stop()
    assert code == 1, said[-3:]
    failed = [event["step"] for event in said if event.get("failed")]
    assert failed
    assert set(failed) <= set(bad.steps), said[-3:]

    after = stack.record()
    assert (after.active, after.release, after.lease) == (before.active, None, None)
    assert after.color(before.active) == before.color(before.active)
    assert after.color("green" if before.active == "blue" else "blue") is None
    assert stack.weights() == all_to(before.active)

    other = "green" if before.active == "blue" else "blue"
    to_bad = [each for each in stack.served(other) if began <= each[0] <= ended]
    whole = [each for color in ("blue", "green") for each in stack.served(color) if began <= each[0] <= ended]
    share = len(to_bad) / max(1, len(whole))
    print(f"{bad.name}: {ended - began:.0f} s, {len(to_bad)} of {len(whole)} requests met it ({share:.1%}), {met.failed} failed")
    assert share <= bad.share * 1.5 + (0.01 if bad.share else 0)  # chance, and the probes' own documents
    assert met.failed <= len(to_bad)


def test_a_version_that_drops_a_column_and_calls_it_expanding_is_no_version(stack: ReleaseStack, tmp_path: Path) -> None:
    before = stack.record()
    code, said = stack.teal("release", str(tree(tmp_path, "drops_a_column_in_expand")), "--version", "drops")
    assert code == 1, said[-3:]
    assert "Revision 0007 is marked expand and drops a column" in said[-1]["error"]["what"], said[-1]
    assert stack.record() == before
    assert stack.healthy()
