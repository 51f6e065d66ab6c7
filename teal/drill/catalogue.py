"""Every drill, in the order in which `--all` runs them. Drills that share a stack leave it working for the next one."""

from __future__ import annotations

from collections.abc import Sequence

from teal.drill import faults, file_faults, part_faults, release_faults
from teal.drill.scene import Drill
from teal.errors import BadInput

MENDED = ("look", "start", "verify")  # supervisor repairs the fault by itself; the drill shows that the runbook does no harm

DRILLS = (
    Drill("release", "another version is released, step by step", "release", release_faults.release_same_code, ("look", "release", "verify"), destructive=False),
    Drill("rollback", "a new version has all requests and is not wanted", "rollback", release_faults.unwanted_release,
          ("look", "rollback", "verify"), destructive=False),
    Drill("stuck-release", "kill -9 of a releaser while both colors have requests", "stuck-release", release_faults.dead_releaser,
          ("look", "repair", "verify")),
    Drill("key-rotation", "the users' key is replaced while they use it", "key-rotation", faults.old_key,
          ("look", "rotate", "end", "verify"), after=(("rotate", faults.use_new_key),), destructive=False),
    Drill("worker", "kill -9 of the worker", "worker-gone", faults.killed_process("{active}-worker"), MENDED),
    Drill("frozen-worker", "the worker stands still, and its process is there (SIGSTOP)", "worker-gone", faults.frozen_process("{active}-worker"),
          ("look", "kill", "verify")),
    Drill("app", "kill -9 of one of two app processes", "unhealthy-targets", faults.killed_process("{active}-app-0"), MENDED),
    Drill("caddy", "kill -9 of the load balancer", "service-absent", faults.killed_process("caddy"), MENDED),
    Drill("redis", "kill -9 of Redis", "redis-failover", faults.killed_process("redis"), MENDED),
    Drill("demoted-redis", "Redis lives on as a replica of another server, and refuses writes", "redis-failover", part_faults.demoted_redis,
          ("look", "restart", "verify")),
    Drill("supervisor", "kill -9 of supervisord, and every part with it", "service-absent", faults.supervisor, MENDED),
    Drill("certificate", "the load balancer's certificate expires", "certificate-expiry", faults.expired_certificate,
          ("look", "renew", "verify"), keep_alive=False),
    Drill("restore-search", "the search index is deleted", "restore-search", faults.deleted_files("search*.db*"), ("look", "restore", "verify")),
    Drill("rebuild", "the search index is deleted, and no snapshot is used", "restore-search", faults.deleted_files("search*.db*", snapshot=False),
          ("look", "rebuild", "verify")),
    Drill("restore-database", "the catalog is deleted", "restore-database", faults.deleted_files("catalog.db*"), ("look", "restore", "verify")),
    Drill("disk-full", "the stack's disk is full to the last byte", "disk-full", faults.full_disk, ("look", "room", "verify"),
          ground="small disk"),
    Drill("full-snapshots", "the folder of snapshots is full to the last byte", "snapshot-stale", file_faults.full_snapshots,
          ("look", "room", "snapshot", "verify"), ground="small disk"),
    Drill("damaged-model", "the embedding model is cut off, and processes start with it", "model-provider", file_faults.damaged_model,
          ("look", "fetch", "verify"), ground="model"),
    Drill("elasticsearch", "kill -9 of Elasticsearch", "part-down", faults.killed_process("elasticsearch"), MENDED, ground="elasticsearch"),
    Drill("flood-stage", "Elasticsearch refuses writes, as when its disk passes the flood stage", "disk-full", part_faults.flood_stage,
          ("look", "look-search", "lift", "verify"), ground="elasticsearch"),
)  # fmt: skip


def select_drills(names: Sequence[str], *, every: bool, without: Sequence[str]) -> tuple[Drill, ...]:
    """The drills of these names, or all but those left out.
    Raises BadInput for an unknown name, and for names together with `every`."""
    if every == bool(names) or (without and not every):
        raise BadInput("Name a drill, or say --all, which alone can leave some out", where="teal drill", next="teal drill --list")
    named, left_out = [find_drill(name) for name in names], [find_drill(name) for name in without]
    return tuple(drill for drill in DRILLS if (every and drill not in left_out) or drill in named)


def find_drill(name: str) -> Drill:
    """A drill by its name. Raises BadInput with the names there are."""
    for drill in DRILLS:
        if drill.name == name:
            return drill
    raise BadInput(f"There is no drill {name}; there are: {', '.join(drill.name for drill in DRILLS)}", where="teal drill",
                   next="teal drill --list")  # fmt: skip
