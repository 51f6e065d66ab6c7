"""A key is made once, whoever is faster, and only its owner can read it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.age_key import make_key, parse_key


def test_of_many_that_make_it_at_once_one_key_stays(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "some.key"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: make_key(file, "note"), range(8)))
    assert [path.name for path in file.parent.iterdir()] == ["some.key"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert str(parse_key(file.read_text())).startswith("AGE-SECRET-KEY-")  # pragma: allowlist secret
