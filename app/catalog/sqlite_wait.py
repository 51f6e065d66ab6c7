"""How long SQLite waits for a writer of another process, in the catalog, in the search index, and while either is copied."""

from typing import Final

BUSY_MILLISECONDS: Final = 15_000  # 5 s were too short once, while the disk and both processors were busy
