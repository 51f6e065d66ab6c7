"""How long a search index of 100,000 passages takes to come back from a snapshot, without embedding anything again.

The passages are made up: sentences of common words and random unit vectors (synthetic growth), in the embedded engine. What is timed is what
`teal restore --only search` does: open, reconcile, compare, exchange, reconcile. `python -m tests.quality.restore_time [PASSAGES]`
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sqlalchemy import insert

from app.catalog import index_outbox
from app.catalog.engine import Catalog, migrate
from app.catalog.tables import ContentRow, DocumentRow, new_id, now
from app.models.port import Stamp
from app.search.engines import open_writer
from app.search.port import Passage
from app.settings import Settings

PASSAGES = 100_000
PER_DOCUMENT = 10
DIMENSIONS = 384  # of the service's own models
WORDS = [
    "tide",
    "moon",
    "harbour",
    "cache",
    "view",
    "query",
    "filter",
    "index",
    "pilot",
    "chart",
    "depth",
    "table",
    "signal",
    "lamp",
    "rope",
    "sail",
    "anchor",
    "keel",
    "mast",
    "wind",
]


def build(settings: Settings, passages: int) -> None:
    """A catalog and an index as ingestion leaves them."""
    rng, pick = np.random.default_rng(7), random.Random(7)
    migrate(settings.sqlalchemy_url())
    catalog, writer = Catalog(settings.sqlalchemy_url()), open_writer(settings)
    writer.ensure(Stamp("none", "none", DIMENSIONS))
    with catalog.write() as session:
        index_outbox.register_index(session, settings.index, serving=True)
    for first in range(0, passages, 5_000):
        rows, bodies, made = [], [], []
        for _ in range(first, min(first + 5_000, passages), PER_DOCUMENT):
            document = new_id()
            texts = [" ".join(pick.choices(WORDS, k=40)) + f" word{pick.getrandbits(40):x}" for _ in range(PER_DOCUMENT)]
            body = "\n\n".join(texts).encode()
            rows.append({"id": document, "collection": "default", "title": "t", "attributes": {}, "content_sha256": document.ljust(64, "0"),
                         "media_type": "text/plain", "bytes": len(body), "status": "indexed", "passages_total": PER_DOCUMENT,
                         "passages_done": PER_DOCUMENT, "created_at": now(), "updated_at": now()})  # fmt: skip
            bodies.append({"document_id": document, "body": body})
            vectors = rng.normal(size=(PER_DOCUMENT, DIMENSIONS)).astype(np.float32)
            made += [
                Passage(f"{document}:{n}", document, n, "t", text, "default", vector=vectors[n]) for n, text in enumerate(texts)
            ]
        with catalog.write() as session:
            session.execute(insert(DocumentRow), rows)
            session.execute(insert(ContentRow), bodies)
        writer.put(made)
    writer.close()
    catalog.close()


def main() -> None:
    passages = int(sys.argv[1]) if len(sys.argv) > 1 else PASSAGES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        values = {
            "TEAL_STATE_DIR": folder / "data",
            "TEAL_BACKUP_DIR": folder / "backups",
            "TEAL_BACKUP_KEY": folder / "key",
            "TEAL_EMBEDDING": "none",
        }
        (folder / "data").mkdir()
        build(Settings(state_dir=folder / "data", embedding="none"), passages)
        env = {**os.environ, **{key: str(value) for key, value in values.items()}}

        def admin(*arguments: str) -> None:
            began = time.perf_counter()
            done = subprocess.run(
                (sys.executable, "-m", "app.admin", *arguments), env=env, capture_output=True, text=True, check=True
            )
            print(
                json.dumps(
                    {
                        "step": " ".join(arguments[:2]),
                        "seconds": round(time.perf_counter() - began, 1),
                        "said": json.loads(done.stdout.splitlines()[-1]).get("detail"),
                    }
                ),
                flush=True,
            )

        admin("snapshot")
        for path in (folder / "data").glob("search*"):
            path.unlink()
        began = time.perf_counter()
        for arguments in (("restore", "search", "--name", "teal-b1"), ("index", "build", "--name", "teal-b1"), ("index", "verify", "--name", "teal-b1"),
                          ("index", "swap", "--name", "teal-b1"), ("index", "reconcile")):  # fmt: skip
            admin(*arguments)
        print(json.dumps({"passages": passages, "synthetic": True, "restore_seconds": round(time.perf_counter() - began, 1)}))


if __name__ == "__main__":
    main()
