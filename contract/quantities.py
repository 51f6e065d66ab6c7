"""CPU and memory quantities in the form that the API server stores; any other form would be a difference at every apply."""

from __future__ import annotations


def millicores(cpu: str) -> int:
    """`500m` and `2` as thousandths of a CPU."""
    return int(cpu[:-1]) if cpu.endswith("m") else 1000 * int(cpu)


def cpu_quantity(thousandths: int) -> str:
    """The quantity for thousandths of a CPU: `2` and not `2000m`."""
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)


def memory_quantity(mebibytes: int) -> str:
    """The quantity for a number of MiB: `1Gi` and not `1024Mi`."""
    for unit in ("Mi", "Gi"):
        if mebibytes % 1024 or not mebibytes:
            return f"{mebibytes}{unit}"
        mebibytes //= 1024
    return f"{mebibytes}Ti"
