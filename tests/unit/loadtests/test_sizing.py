"""What one more user costs is the difference between few and many, so that Python's own memory is not in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtests.sizing import SizingRun, main, user_cost


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


def test_users_who_asked_nothing_were_not_measured() -> None:
    with pytest.raises(ValueError, match="asked nothing"):
        user_cost(level(100, 110.0, 0.06, questions_per_second=0.0), level(500, 150.0, 0.26, questions_per_second=0.0), 512.0)


@pytest.mark.parametrize("users", ["50", "50,50", "0,10", "-5,10", "", "10,", "few,many", "1.5,3"])
def test_numbers_of_users_that_give_no_difference_are_refused_in_words(users: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--host", "https://localhost:1", f"--users={users}"])
    assert ended.value.code == 2
    assert "two different numbers of 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["1", "2.9", "-3", "nan", "inf", "long"])
def test_a_time_too_short_to_measure_in_is_refused_in_words(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--host", "https://localhost:1", f"--seconds={seconds}"])
    assert ended.value.code == 2
    assert "3 or more" in capsys.readouterr().err


def test_without_a_key_it_says_which_variable_holds_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LOCUST_LOAD_KEYS", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["--host", "https://localhost:1"])
    assert ended.value.code == 2
    assert "LOCUST_LOAD_KEYS is not set" in capsys.readouterr().err


def test_a_file_of_certificates_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCUST_LOAD_KEYS", "key")
    (tmp_path / "text.pem").write_text("no certificate")
    for name in ("none.pem", "text.pem"):
        assert main(["--host", "https://localhost:1", "--ca", str(tmp_path / name)]) == 2
        assert f"{tmp_path / name} is no file of certificates" in json.loads(capsys.readouterr().out)["error"]["what"]
