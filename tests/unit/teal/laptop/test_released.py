"""The first release, which `teal up` makes by itself."""

from __future__ import annotations

from pathlib import Path

from teal.laptop.released import write_first
from teal.record import releases
from teal.record.file import FileStore
from teal.record.model import ColorState, Record
from teal.release.commands import release_cells

STATE = ColorState(release_id="20261126-000000-abcd", image="0123456789abcdef", label="first", index="teal",
                   schema_min="0001", schema_max="0001", replica_floor=2)  # fmt: skip


def test_the_first_release_is_told_like_every_other_however_often_it_is_written(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    record = Record(active="blue", blue=STATE, history=(STATE.release_id,))
    _, stamp = store.read()
    store.write(record, expected=stamp)
    write_first(store, record)
    write_first(store, record.model_copy(update={"blue": STATE.model_copy(update={"label": "another"})}))
    (entry,) = releases.past_releases(store)[1]
    assert entry.plan is not None
    assert (entry.plan.target, entry.plan.state) == ("blue", STATE)
    assert entry.outcome is not None
    assert (entry.outcome.phase, entry.underway) == ("Healthy", False)


def test_damaged_plan_and_outcome_are_named_and_the_history_goes_on(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    record = Record(active="blue", blue=STATE, history=(STATE.release_id,))
    store.write(record, expected=store.read()[1])
    write_first(store, record)
    for key in (releases.plan_key(STATE.release_id), releases.outcome_key(STATE.release_id)):
        whole = store.path(key).read_bytes()
        for damaged in (
            whole[: len(whole) // 2],
            b"",
            b"null",
            b"\x00" * len(whole),
            whole.replace(b"{", b'{"a newer field": 1,', 1),
        ):
            store.path(key).write_bytes(damaged)
            (entry,) = releases.past_releases(store)[1]
            if (
                key == releases.plan_key(STATE.release_id) or b"newer" not in damaged
            ):  # of an outcome, a newer field is left unread
                assert entry.unreadable == (key,)
                assert key in release_cells(entry, None, "")[-2]
        store.path(key).write_bytes(whole)
