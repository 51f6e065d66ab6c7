"""A search for the limit against a service of known capacity: the capacity is found, the climb ends there, and no repetition inherits a backlog."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.measured import LoadTestResult
from teal.load.capacity import capacity, read_run
from tests.parts.loadtests.serving import serving

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(300)]
PER_SECOND = 20
STEP = 1.5  # from one stage to the next
LEVELS = (8, 12, 18, 27, 40, 60)
THRESHOLDS = """thresholds:
  - {requests: search, later_than_ms: 500, at_most_percent: 20, why: "a test sends few, and shares its machine"}
generator: {late_p99_ms: 10000}  # tests share their machine, and this is not about the generator
"""


@pytest.mark.parametrize(
    ("workers", "seconds"), [("0", 8), ("1", 12)]
)  # workers report every 3 s, so their stages must be longer
def test_the_capacity_is_found_the_climb_ends_there_and_the_next_one_begins_with_a_service_that_has_drained(
    tmp_path: Path, workers: str, seconds: int
) -> None:
    shape = {
        "kind": "arrivals",
        "mix": {"search": 1},
        "repeat": 2,
        "each_stage": True,
        "stages": [{"seconds": seconds, "level": level} for level in LEVELS],
    }
    (tmp_path / "shapes.yaml").write_text(json.dumps({"shapes": {"climb": shape}}))
    (tmp_path / "thresholds.yaml").write_text(THRESHOLDS)
    with serving("--per-second", str(PER_SECOND)) as url:
        command = [sys.executable, "-m", "loadtests", "run", "climb", "--host", url, "--shapes", str(tmp_path / "shapes.yaml"),
                   "--thresholds", str(tmp_path / "thresholds.yaml"), "--workers", workers, "--out", str(tmp_path / "out")]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"LOCUST_LOAD_KEYS": "key"}, timeout=250, check=False
        )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, ""), rows[-8:]
    found = LoadTestResult.model_validate_json((tmp_path / "out" / "result.json").read_bytes())
    assert [(one.level, one.outcome) for one in found.stages] == [(8, "kept"), (12, "kept"), (18, "kept"), (27, "breached")]
    assert found.goodput_level is not None
    assert PER_SECOND / STEP <= found.goodput_level <= PER_SECOND
    # The report that a worker sends when a stage has begun also brings what it counted before that, at a lower level.
    measured = capacity(read_run(tmp_path / "out" / "result.json"), replicas=1).questions_per_second
    assert measured == pytest.approx(found.goodput_level, rel=0.1 if workers == "0" else 0.2)
    first, second = found.climbs
    assert (first.broken_stage, second.broken_stage) == (3, 3)
    assert first.drain is not None
    assert first.drain.drained
    assert [row["step"] for row in rows if row["step"] in ("climb", "drain")] == ["climb", "drain", "climb"]
    begin = [one for one in found.windows if (one.repetition, one.stage) == (1, 0)]
    waited = [count.percentile_ms(0.95) for one in begin if (count := one.counts.get("search")) is not None]
    assert max(one for one in waited if one is not None) < 500  # a backlog of the first climb would be seconds
