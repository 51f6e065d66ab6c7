"""`python -m teal.laptop.revive HOME`: starts a dead supervisord again with everything that it ran. `keeper.py` runs this."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from teal.errors import HeldByAnother, OperatorError
from teal.laptop import keeper, reap, supervisor
from teal.laptop.files import write_private
from teal.laptop.layout import Layout
from teal.laptop.lock import exclusive
from teal.laptop.marks import HOME_MARK, PART_MARK
from teal.laptop.parts import registry
from teal.laptop.program import file_of

KEEPER = "keeper"
WAIT_SECONDS = 120.0  # for a running `teal up` or `teal down`: as long as the longest of them
STEP_SECONDS = 0.5


def revive(layout: Layout) -> bool:
    """Start supervisord if it is dead, and all programs that `teal up` and the releases left a file of; returns whether it was
    dead. If it runs, a damaged or missing pid file is written again,
    because the keeper would consider supervisord dead for ever."""
    with exclusive(layout):
        if supervisor.is_up(layout):
            supervisor.mend_pidfile(layout)
            return False
        supervisor.start_supervisord(
            layout, {name: value for name, value in os.environ.items() if name not in (HOME_MARK, PART_MARK)}
        )
        for name in supervisor.processes(layout):
            if file_of(layout, name).is_file() and not registry.owner(name).ends_by_itself:
                supervisor.start_part(layout, name)
        write_private(_note(layout), json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds")}) + "\n")
    return True


def revived_at(layout: Layout) -> str | None:
    """When supervisord was last revived since the last `teal up` that started it; None when it was not."""
    try:
        return str(json.loads(_note(layout).read_text(encoding="utf-8"))["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget_failures(layout: Layout) -> None:
    """Delete the notes about the previous run; a new start makes them obsolete."""
    _note(layout).unlink(missing_ok=True)


def keepers(layout: Layout) -> list[int]:
    """The process ids of this stack's keepers: one, or none."""
    return [one.pid for one in reap.find_leftovers(layout) if one.part == KEEPER]


def ensure_keeper(layout: Layout) -> bool:
    """Start the keeper if none runs; returns whether it had to be started."""
    if keepers(layout):
        return False
    env = {**os.environ, "PYTHONUNBUFFERED": "1", HOME_MARK: str(layout.home), PART_MARK: KEEPER}
    with (layout.logs / "keeper.out.log").open("ab") as log:
        subprocess.Popen(  # noqa: S603
            (sys.executable, "-I", keeper.__file__, str(layout.home), str(layout.pidfile)),
            env=env, cwd=layout.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    return True


def end_keeper(layout: Layout) -> None:
    """End the keeper before supervisord is stopped on purpose."""
    reap.end_processes(keepers(layout), layout)


def _note(layout: Layout) -> Path:
    return layout.home / "revived.json"


def main(home: str) -> int:
    """Wait for a running command, then revive. Exit 1 when that failed, so that the keeper tries again."""
    layout, deadline = Layout(Path(home)), time.monotonic() + WAIT_SECONDS
    while True:
        try:
            if revive(layout):
                print(f"{datetime.now(UTC).isoformat()} supervisord had died and was started again", flush=True)  # noqa: T201
            return 0
        except HeldByAnother:
            if time.monotonic() > deadline:
                return 1
            time.sleep(STEP_SECONDS)
        except (OperatorError, OSError) as error:
            print(f"{datetime.now(UTC).isoformat()} {error}", file=sys.stderr, flush=True)  # noqa: T201
            return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
