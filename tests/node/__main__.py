"""What `teal cluster` runs, and says in JSON lines: events and at most one error, rows of a status, or what is left. See tests/node/rehearsal.py."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.node")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="a cluster, until a signal ends it")
    run.add_argument("--nodes", type=int, choices=(1, 2), default=1)
    run.add_argument("--metrics", action="store_true")
    status = commands.add_parser("status", help="of a cluster that runs")
    status.add_argument("folder", type=Path)
    status.add_argument("pid", type=int)
    commands.add_parser("sweep", help="remove what ended clusters left, and name what stays")
    given = parser.parse_args()
    if given.command == "run":  # said before the long imports: whoever wants it ended needs the number
        say(
            {
                "step": "begin",
                "pid": os.getpid(),
                "nodes": given.nodes,
                "metrics": given.metrics,
                "checkout": str(Path(__file__).resolve().parents[2]),
            }
        )
    from tests.node import rehearsal

    if given.command == "run":
        rehearsal.run(given.nodes, given.metrics, say)
    else:
        for row in rehearsal.status(given.folder, given.pid) if given.command == "status" else rehearsal.sweep():
            say(row)


def say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
