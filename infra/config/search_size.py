"""The size of an Elasticsearch pod: its CPU follows its memory, and the heap leaves half of it to Lucene."""

from __future__ import annotations

from typing import Final

LARGEST_HEAP_MIB: Final = 31 * 1024  # above it, object pointers take 8 bytes instead of 4
GIB_PER_CPU: Final = 8  # memory-heavy: vectors want page cache


def heap_mib(memory_gib: int) -> int:
    """Half of the pod's memory, because Lucene wants the other half as page cache; at most 31 GiB."""
    return min(memory_gib * 1024 // 2, LARGEST_HEAP_MIB)


def cpus(memory_gib: int) -> int:
    """The CPU request, in cores, of a pod with this memory."""
    return max(1, memory_gib // GIB_PER_CPU)
