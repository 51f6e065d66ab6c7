"""Many writers on one SQLite catalog: documents are accepted while the worker writes too and the machine is short of processors."""

from __future__ import annotations

import asyncio
import random
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.services.releasing import ReleaseStack

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(300)]
DOCUMENTS = 250
PER_SECOND = 40
BUSY = 6  # processes that compute: with the worker a load average of 7 on any number of processors
BUSY_SECONDS = 40  # they end by themselves; the documents take seven
WORDS = [f"word{number}" for number in range(5_000)]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[ReleaseStack]:
    yield from ReleaseStack.running(tmp_path, {})


def _text(words: int) -> str:
    return " ".join(random.choices(WORDS, k=words))


def test_250_documents_at_40_a_second_beside_a_busy_worker_are_all_accepted(stack: ReleaseStack) -> None:
    key = stack.key()
    with stack.client(key) as client:
        for number in range(40):  # of 20,000 words each: minutes of work for the worker
            client.send_text({"title": f"long {number}", "text": _text(20_000)})
    compute = f"import time\nend = time.monotonic() + {BUSY_SECONDS}\nwhile time.monotonic() < end: pass"
    with ExitStack() as ended:
        for _ in range(BUSY):
            ended.callback(ended.enter_context(subprocess.Popen([sys.executable, "-c", compute])).kill)
        statuses, seconds = asyncio.run(_post(stack, key))
    print(dict(statuses), f"slowest {max(seconds):.2f} s, median {sorted(seconds)[DOCUMENTS // 2]:.2f} s")
    assert statuses == {202: DOCUMENTS}


async def _post(stack: ReleaseStack, key: str) -> tuple[Counter[int], list[float]]:
    """The statuses of all answers, and the seconds that each took from the moment it was due."""
    trusted = ssl.create_default_context(cafile=str(stack.layout.ca))
    statuses: Counter[int] = Counter()
    seconds: list[float] = []
    client = httpx.AsyncClient(base_url=stack.url, verify=trusted, timeout=60, headers={"Authorization": f"Bearer {key}"})

    async def post(number: int, due: float) -> None:
        answer = await client.post("/v1/documents", json={"title": f"short {number}", "text": _text(300)})
        statuses[answer.status_code] += 1
        if answer.status_code != 202:
            print(answer.text)
        seconds.append(time.monotonic() - due)

    async with client:
        began = time.monotonic()
        posts = []
        for number in range(DOCUMENTS):
            due = began + number / PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            posts.append(asyncio.create_task(post(number, due)))
        await asyncio.gather(*posts)
    return statuses, seconds
