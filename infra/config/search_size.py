"""How a pod of Elasticsearch is divided: CPU by its memory, and the heap by what Lucene leaves."""

from __future__ import annotations

from typing import Final

LARGEST_HEAP_MIB: Final = 31 * 1024  # above it, object pointers take 8 bytes instead of 4
GIB_PER_CPU: Final = 8  # memory-heavy: vectors want page cache


def heap_mib(memory_gib: int) -> int:
    """Half of the pod's memory, because Lucene wants the other half as page cache; at most 31 GiB."""
    return min(memory_gib * 1024 // 2, LARGEST_HEAP_MIB)


def cpus(memory_gib: int) -> int:
    """Cores that a pod of so much memory asks for."""
    return max(1, memory_gib // GIB_PER_CPU)
