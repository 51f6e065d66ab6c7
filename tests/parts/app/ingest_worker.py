"""The real worker with a fast embedder and documents that misbehave on command; started as a process by the ingest tests.

Search is the real embedded adapter. A document whose text holds KILL ends its worker while the file `<state>/poison` exists,
BREAK raises while it exists; ABSENT fails embedding while `<state>/absent` exists, MODEL_AWAY means no model at all.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app import worker
from app.errors import ModelUnavailable
from app.models.port import Embedder, Stamp, Vector
from app.search.engines import open_writer
from app.settings import Settings, settings
from app.text.apart import READERS, Wanted
from app.text.document import ChunkLimits, CutDocument

STAMP = Stamp("fast", "0" * 64, 8)


class Fast:
    """Vectors of 8 dimensions from the text's own bytes."""

    stamp = STAMP

    def __init__(self, state: Path, seconds: float) -> None:
        self._state = state
        self._seconds = seconds

    def passages(self, texts: Sequence[str]) -> list[Vector]:
        if (self._state / "absent").exists():
            raise ModelUnavailable("The test's model is away.")
        time.sleep(self._seconds)
        return [self.query(text) for text in texts]

    def query(self, text: str) -> Vector:
        vector = np.frombuffer(text.encode()[:64].ljust(64, b"."), dtype=np.uint8).reshape(8, 8).sum(axis=1).astype(np.float32)
        return vector / np.linalg.norm(vector)

    def reads(self, text: str) -> bool:
        return True


def misbehaving(state: Path) -> worker.DocumentReader:
    def read(
        body: bytes, media_type: str, filename: str | None, cutting: ChunkLimits, wanted: Wanted | None = None, /
    ) -> CutDocument:
        if (state / "poison").exists():
            if b"KILL" in body:
                os.kill(os.getpid(), signal.SIGKILL)
            if b"BREAK" in body:
                raise RuntimeError("broken on purpose")
        return READERS.read(body, media_type, filename, cutting, wanted)

    return read


def main() -> None:
    state = settings().state_dir
    seconds = float(os.environ.get("TEST_EMBED_SECONDS", "0"))

    def open_embedder(_: Settings) -> Embedder | None:
        return None if (state / "no-model").exists() else Fast(state, seconds)

    worker.MODEL_CHECK_SECONDS = 1.0  # type: ignore[misc]
    worker.main(sys.argv[1:], worker.WorkerDependencies(open_writer, open_embedder, lambda _: STAMP, misbehaving(state)))


if __name__ == "__main__":
    main()
