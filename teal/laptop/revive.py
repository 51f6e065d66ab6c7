"""`python -m teal.laptop.revive HOME`: supervisord died, so start it again with everything that it ran. `keeper.py` runs this."""

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
WAIT_SECONDS = 120.0  # for a `teal up` or `teal down` that is at work: as long as the longest of them
STEP_SECONDS = 0.5


def revive(layout: Layout) -> bool:
    """Whether supervisord had to be started. Everything that `teal up` and the releases left a file of runs again. Where it runs and its
    pid file was damaged or removed, that is written again: the keeper would take it for dead for ever."""
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
    """When supervisord was last started again by itself, since the last `teal up` that started it."""
    try:
        return str(json.loads(_note(layout).read_text(encoding="utf-8"))["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget_failures(layout: Layout) -> None:
    """A new start: what happened to the one before says nothing any more."""
    _note(layout).unlink(missing_ok=True)


def keepers(layout: Layout) -> list[int]:
    """The process ids of this stack's keepers: one, or none."""
    return [one.pid for one in reap.find_leftovers(layout) if one.part == KEEPER]


def ensure_keeper(layout: Layout) -> bool:
    """Start the keeper where none runs; whether it had to be started."""
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
    """Wait for a command that is at work, then revive. Exit 1: it did not succeed, for the keeper to try again."""
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
