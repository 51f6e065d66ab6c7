"""The first release, which `teal up` makes by itself."""

from __future__ import annotations

from pathlib import Path

from teal.record import ColorState, Record
from teal.record_file import FileStore
from teal.release import history
from teal.stack.released import write_first

STATE = ColorState(release_id="20261126-000000-abcd", image="0123456789abcdef", label="first", index="teal",
                   schema_min="0001", schema_max="0001", replica_floor=2)  # fmt: skip


def test_the_first_release_is_told_like_every_other_however_often_it_is_written(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    record = Record(active="blue", blue=STATE, history=(STATE.release_id,))
    _, stamp = store.read()
    store.write(record, expected=stamp)
    write_first(store, record)
    write_first(store, record.model_copy(update={"blue": STATE.model_copy(update={"label": "another"})}))
    (entry,) = history.entries(store)[1]
    assert entry.document is not None
    assert (entry.document.target, entry.document.state) == ("blue", STATE)
    assert entry.outcome is not None
    assert (entry.outcome.phase, entry.underway) == ("Healthy", False)
