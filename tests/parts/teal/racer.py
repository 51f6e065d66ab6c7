"""A process that writes the record as often as it wins: `python -m tests.parts.teal.racer SPEC WINS`, waits for a line, prints its wins."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from teal.record.file import FileStore
from teal.record.model import LostRace, Store
from teal.record.s3 import S3RecordStore, client_config
from tests.services.aws_server import AwsServer


def open_store(spec: dict[str, Any]) -> Store:
    if spec["kind"] == "file":
        return FileStore(Path(spec["folder"]))
    return S3RecordStore(AwsServer(spec["url"]).client("s3", client_config()), spec["bucket"], "teal/")


def main(spec: str, wins: int) -> None:
    store = open_store(json.loads(spec))
    print("ready", flush=True)
    sys.stdin.readline()
    won: list[int] = []
    lost = 0
    while len(won) < wins:
        record, stamp = store.read()
        wanted = record.model_copy(update={"generation": record.generation + 1, "history": (f"{id(store)}",)})
        try:
            store.write(wanted, expected=stamp)
        except LostRace:
            lost += 1
            continue
        won.append(wanted.generation)
    print(json.dumps({"won": won, "lost": lost}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
