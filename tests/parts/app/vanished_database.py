"""Run inside a network of its own (`unshare --net`), which it cuts under a statement that waits: prints how long that went on, and how it ended."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.ingestion.job_queue import jobs_engine
from app.settings import Settings
from tests.services import postgres_server

CONNECTED_SECONDS = 2.0  # after which the statement surely waits at the server
STATEMENT_SECONDS = 90  # longer than whoever asks is ready to wait


def main(programs: str) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with postgres_server.running(Path(programs), listen="127.0.0.1") as server:
        url = server.url.partition("?")[0].replace("@/", "@127.0.0.1/")
        engine = jobs_engine(Settings(database_url=SecretStr(url)), 1)
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            threading.Timer(CONNECTED_SECONDS, subprocess.run, (["ip", "link", "set", "lo", "down"],), {"check": True}).start()
            began = time.monotonic()
            try:
                connection.execute(text(f"SELECT pg_sleep({STATEMENT_SECONDS})"))
                said = "the statement ended as if nothing were"
            except OperationalError as error:
                said = str(error.orig).strip()
            took = time.monotonic() - began - CONNECTED_SECONDS
            print(json.dumps({"seconds": took, "said": said}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
