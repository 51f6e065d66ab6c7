"""What one more user costs is the difference between few and many, so that Python's own memory is not in it."""

from __future__ import annotations

import pytest

from loadtests.sizing import SizingRun, user_cost


def level(users: int, memory_mib: float, cpu: float, questions_per_second: float | None = None) -> SizingRun:
    return SizingRun(users, memory_mib, cpu, users / 4 if questions_per_second is None else questions_per_second, 0.0, None)


def test_a_worker_carries_what_its_memory_and_half_of_its_core_carry() -> None:
    found = user_cost(level(100, 110.0, 0.06), level(500, 150.0, 0.26), 512.0)
    assert (found.memory_kib, found.cpu_ms_a_second, found.process_mib) == (102.4, 0.5, 100.0)
    # 80 % of 512 MiB are 409.6: 309.6 beyond the process itself, at 0.1 each; half a core at half a millisecond each.
    assert (found.users_by_memory, found.users_by_cpu) == (3096, 1000)


def test_users_who_cost_nothing_were_not_measured() -> None:
    with pytest.raises(ValueError, match="cost no more"):
        user_cost(level(100, 110.0, 0.06), level(500, 110.0, 0.26), 512.0)


def test_users_who_waited_for_a_slow_service_were_not_measured() -> None:
    with pytest.raises(ValueError, match="asked less than each of 100"):
        user_cost(level(100, 110.0, 0.06), level(500, 150.0, 0.26, questions_per_second=60.0), 512.0)
