"""The inputs of a plan, each with its source. Change one here, or pass `--growth FILE` of your own run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal

Kind = Literal["measured", "documented", "assumed"]
FEWEST_PASSAGES: Final = 100  # the smallest index whose measurements can be extrapolated
MEASURED_AT: Final = 60.0  # searches a second: the rate whose CPU is read; at lower ones idle work counts too


@dataclass(frozen=True, slots=True)
class Input:
    """One number. `source`: the command that measured it, or the text that was read; `assumed`: an unverified assumption."""

    value: float
    unit: str
    kind: Kind
    source: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """All inputs of a plan except prices."""

    disk_bytes_a_passage: Input
    body_bytes_a_passage: Input
    dimensions: Input
    measured_dimensions: Input
    disk_bytes_a_dimension: Input
    vector_bytes_beside_dimensions: Input
    engine_cpu_ms_a_search: Input
    measured_passages: Input
    app_cpu_ms_a_search: Input
    ingest_cpu_ms_a_passage: Input
    answer_kb: Input
    passages_a_document: Input
    changed_share_a_day: Input
    shard_gb: Input
    shard_passages: Input
    copy_mb_a_second: Input
    search_cpu_share: Input
    page_cache_share: Input
    disk_share: Input
    lcu_gb_an_hour: Input
    lcu_connections_a_second: Input
    queue_jobs_a_second: Input


INPUTS: Final = Inputs(
    disk_bytes_a_passage=Input(6_420, "bytes", "measured", "python -m loadtests.growth, 26,490 passages, 2026-11-29"),
    body_bytes_a_passage=Input(590, "bytes", "measured", "python -m loadtests.growth, docs/performance.md"),
    dimensions=Input(384, "dimensions", "assumed", "of the laptop's model; Titan on AWS makes 1,024: --dimensions 1024"),
    measured_dimensions=Input(384, "dimensions", "measured", "of the vectors in that run"),
    disk_bytes_a_dimension=Input(10, "bytes", "assumed", "a float, a byte, and about five as text in _source"),
    vector_bytes_beside_dimensions=Input(
        4 + 4 * 16, "bytes", "documented", "Elastic, Tune approximate kNN search: a byte for each dimension, 4 more, and 4 x m for the graph"
    ),
    engine_cpu_ms_a_search=Input(11.7, "ms", "measured", "python -m loadtests.growth, docs/performance.md: one process, 60/s"),
    measured_passages=Input(26_490, "passages", "measured", "the largest index of that run"),
    app_cpu_ms_a_search=Input(8.7, "ms", "measured", "the same run; half of it is the model, which on AWS is Bedrock's"),
    ingest_cpu_ms_a_passage=Input(21, "ms", "measured", "python -m loadtests.bench --elasticsearch: 96 passages/s on 2 cores"),
    answer_kb=Input(8.1, "kB", "measured", "python -m loadtests.growth, docs/performance.md: ten passages"),
    passages_a_document=Input(4.4, "passages", "measured", "the same corpus; documents of a page or two"),
    changed_share_a_day=Input(0.01, "of the passages", "assumed", "nobody has logs yet: one passage in a hundred is new each day"),
    shard_gb=Input(50, "GB", "documented", "Elastic, Size your shards: 10 to 50 GB"),
    shard_passages=Input(200e6, "passages", "documented", "Elastic, Size your shards: up to 200 million"),
    copy_mb_a_second=Input(
        40, "MB/s a node", "documented", "Elasticsearch's default of max_snapshot_bytes_per_sec and indices.recovery.max_bytes_per_sec"
    ),
    search_cpu_share=Input(0.5, "of a node's cores", "assumed", "the other half is for merges, a lost node, and a release's second index"),
    page_cache_share=Input(0.9, "of what the heap leaves", "assumed", "vectors and graph stay in memory, little else does"),
    disk_share=Input(0.75, "of a disk", "assumed", "below Elasticsearch's low watermark of 85 %, with room for a merge"),
    lcu_gb_an_hour=Input(1, "GB an hour", "documented", "AWS, Elastic Load Balancing pricing, of one LCU"),
    lcu_connections_a_second=Input(25, "new connections/s", "documented", "AWS, Elastic Load Balancing pricing, of one LCU"),
    queue_jobs_a_second=Input(
        43_000, "jobs/s", "documented", "dbos.dev, benchmarking workflow execution on Postgres: db.m7i.24xlarge; a smaller server takes fewer"
    ),
)  # fmt: skip


class NotAGrowthRun(ValueError):
    """The file was not written by `python -m loadtests.growth`; the text says why."""


def with_growth(inputs: Inputs, path: Path) -> Inputs:
    """The inputs, with those that a growth run measures taken from its file. Raises `NotAGrowthRun`."""
    rows = growth_rows(path)
    largest = max(rows, key=lambda row: (int(row["passages"]), -int(row["processes"])))
    step = measured_step(largest)
    source = f"{path}: {largest['passages']:,} passages, {largest['processes']} process, {step['offered']:g}/s"
    found = {
        "engine_cpu_ms_a_search": float(step["engine_ms"]),
        "app_cpu_ms_a_search": float(step["loop_ms"]) + float(step["others_ms"]),
        "measured_passages": float(largest["passages"]),
        "disk_bytes_a_passage": float(largest["store_bytes"]) / float(largest["passages"]),
        "body_bytes_a_passage": float(largest["body_bytes_a_passage"]),
        "passages_a_document": float(largest["passages_a_document"]),
        "answer_kb": float(largest["answer_bytes"]) / 1000,
    }
    known = {field.name: getattr(inputs, field.name) for field in fields(inputs)}
    return replace(inputs, **{name: replace(known[name], value=value, source=source) for name, value in found.items()})


def growth_rows(path: Path) -> list[dict[str, Any]]:
    """A row for each size and number of processes of a growth run. Raises `NotAGrowthRun`."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["growth"]
        for row in rows:
            step = measured_step(row)
            if not (step["engine_ms"] > 0 and step["loop_ms"] + step["others_ms"] > 0 and row["passages"] >= FEWEST_PASSAGES):
                raise NotAGrowthRun(f"{path} has a row without CPU, or with fewer than {FEWEST_PASSAGES} passages: run it again")
            missing = {
                "passages",
                "processes",
                "store_bytes",
                "body_bytes_a_passage",
                "passages_a_document",
                "answer_bytes",
            } - set(row)
            if missing:
                raise NotAGrowthRun(
                    f"{path} has no {', '.join(sorted(missing))}: run `python -m loadtests.growth` of this version again"
                )
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, NotAGrowthRun):
            raise
        raise NotAGrowthRun(f"{path} is not what `python -m loadtests.growth` writes: {error or type(error).__name__}") from error
    if not rows:
        raise NotAGrowthRun(f"{path} has no rows: run `python -m loadtests.growth` again")
    return list(rows)


def measured_step(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The step at 60 a second, or the fastest measured one below it."""
    steps: Iterable[Mapping[str, Any]] = row["steps"]
    return max((one for one in steps if float(one["offered"]) <= MEASURED_AT), key=lambda one: float(one["offered"]))
