"""What every store of the release record promises: the same for a folder and for S3 (moto's server on loopback)."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from teal.record.file import KEPT, FileStore, StoreFailed
from teal.record.model import LostRace, Record, Store
from teal.record.s3 import S3RecordStore, client_config
from tests.services import aws_server


class Place:
    """Where one test's record is; `open()` as another process would, `spec` for a process that really is another."""

    def __init__(self, spec: dict[str, str], open_: Callable[[], Store], client: Any = None) -> None:
        self.spec = spec
        self.open = open_
        self.client = client


@pytest.fixture(scope="module")
def aws() -> Iterator[aws_server.AwsServer]:
    with aws_server.start() as server:
        yield server


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.integration)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "file":
        return Place({"kind": "file", "folder": str(tmp_path)}, lambda: FileStore(tmp_path))
    server: aws_server.AwsServer = request.getfixturevalue("aws")
    client, bucket = server.client("s3", client_config()), f"t{uuid4().hex}"
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws_server.REGION})
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return Place({"kind": "s3", "url": server.url, "bucket": bucket}, lambda: S3RecordStore(client, bucket, "teal/"), client)


def test_a_store_that_was_never_written_holds_a_fresh_record(place: Place) -> None:
    assert place.open().read()[0] == Record()


def test_what_was_written_is_read_by_another_process(place: Place) -> None:
    mine, other = place.open(), place.open()
    stamp = mine.write(Record(generation=1, active="blue"), expected=mine.read()[1])
    assert other.read() == (Record(generation=1, active="blue"), stamp)


def test_the_first_record_is_written_once(place: Place) -> None:
    one, two = place.open(), place.open()
    absent = one.read()[1]
    one.write(Record(generation=1), expected=absent)
    with pytest.raises(LostRace):
        two.write(Record(generation=9), expected=absent)
    assert two.read()[0].generation == 1


def test_a_stamp_is_good_for_one_write(place: Place) -> None:
    store = place.open()
    first = store.write(Record(generation=1), expected=store.read()[1])
    second = store.write(Record(generation=2), expected=first)
    for old in (first, store.read()[1]):
        if old == second:
            continue
        with pytest.raises(LostRace):
            store.write(Record(generation=3), expected=old)
    assert store.read() == (Record(generation=2), second)


def test_an_object_is_never_replaced(place: Place) -> None:
    store = place.open()
    store.create("releases/r1.json", b"one")
    store.create("releases/r1.json", b"one")  # a second try of the same writer
    with pytest.raises(LostRace):
        store.create("releases/r1.json", b"two")
    assert store.fetch("releases/r1.json") == b"one"
    assert store.fetch("releases/r2.json") is None


def test_objects_and_record_do_not_meet(place: Place) -> None:
    store = place.open()
    store.create("evidence/r1/index.html", b"<html></html>")
    assert store.read()[0] == Record()


def test_two_processes_that_write_at_once_never_both_win(place: Place) -> None:
    """Real processes: each adds one to the generation as often as it wins; the sum of wins is the final generation."""
    racers = [
        subprocess.Popen([sys.executable, "-m", "tests.parts.teal.racer", json.dumps(place.spec), "12"], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    told = [json.loads(racer.communicate(timeout=60)[0]) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    won = [set(one["won"]) for one in told]
    assert not won[0] & won[1], "two processes wrote the same generation"
    assert [len(one) for one in won] == [12, 12]
    assert place.open().read()[0].generation == 24


def test_a_writer_that_slept_through_every_kept_state_has_lost(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    slept = stamp = store.write(Record(generation=1), expected=store.read()[1])
    for generation in range(2, KEPT + 5):
        stamp = store.write(Record(generation=generation), expected=stamp)
    with pytest.raises(LostRace):
        store.write(Record(generation=999), expected=slept)
    assert store.read()[0].generation == KEPT + 4
    assert len(list((tmp_path / "record").iterdir())) == KEPT


@pytest.mark.parametrize("damaged", [b"{", b"", b"\x00" * 300, b'{"a newer field": 1}'], ids=["cut", "empty", "zeros", "newer"])
def test_a_damaged_record_is_an_error_that_leads_to_the_state_before(tmp_path: Path, damaged: bytes) -> None:
    store = FileStore(tmp_path)
    before = store.write(Record(generation=1), expected=store.read()[1])
    store.write(Record(generation=2), expected=before)
    newest = tmp_path / "record" / "000000000002.json"
    newest.write_bytes(damaged)
    with pytest.raises(StoreFailed, match="not a record") as caught:
        store.read()
    moves, next_command = caught.value.next.split("; ")
    assert next_command == "teal repair"
    subprocess.run(shlex.split(moves), check=True)
    assert store.read() == (Record(generation=1), before)
    store.write(Record(generation=2), expected=before)
    assert store.read()[0].generation == 2


@pytest.mark.parametrize("key", ["../outside", "record/000000000001.json", "/etc/passwd"])
def test_a_key_does_not_lead_out_of_the_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(StoreFailed, match="leads out"):
        FileStore(tmp_path / "store").create(key, b"")


class _Stumbling:
    """A client whose put_object meets what S3 answers under load; all else is the real one."""

    def __init__(self, client: Any, *, conflicts: int = 0, lose_answers: int = 0) -> None:
        self._client, self._conflicts, self._lose = client, conflicts, lose_answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_object(self, **options: Any) -> Any:
        if self._conflicts:
            self._conflicts -= 1
            raise ClientError({"Error": {"Code": "ConditionalRequestConflict", "Message": "in flight"}}, "PutObject")
        answer = self._client.put_object(**options)
        if self._lose:
            self._lose -= 1
            return self._client.put_object(**options)  # what botocore does when the answer was lost on its way
        return answer


@pytest.mark.integration
@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_s3_conflict_is_tried_again_and_a_lost_answer_is_not_a_lost_race(place: Place) -> None:
    bucket = place.spec["bucket"]
    store = S3RecordStore(_Stumbling(place.client, conflicts=2), bucket, "teal/")  # type: ignore[arg-type]
    stamp = store.write(Record(generation=1), expected=store.read()[1])
    store = S3RecordStore(_Stumbling(place.client, lose_answers=1), bucket, "teal/")  # type: ignore[arg-type]
    stamp = store.write(Record(generation=2), expected=stamp)
    assert place.open().read() == (Record(generation=2), stamp)


@pytest.mark.integration
def test_s3_that_does_not_answer_is_an_error_in_words(aws: aws_server.AwsServer) -> None:
    from tests.services.ports import free_port

    nobody = aws_server.AwsServer(f"http://127.0.0.1:{free_port()}").client("s3", client_config())
    with pytest.raises(StoreFailed, match="did not answer"):
        S3RecordStore(nobody, "anywhere").read()
